/*
 * The visitor's chat on a shop's page, by one tag:
 *
 *   <script src="https://desk.example/widget.js" data-inbox="web" async></script>
 *
 * What else may be set stands in docs/widget.md. The page's own CSP must allow this origin in `script-src` and
 * `connect-src`, and the gateways in `connect-src`; inline scripts, inline styles and frames are not needed.
 */
"use strict";
(() => {
  const tag = document.currentScript;
  const base = new URL(".", tag.src);
  const modules = import(new URL("widget/all.js", base).href);
  const place = () => {
    const widget = document.createElement("raydesk-widget");
    widget.setAttribute("server", base.origin);
    for (const [name, value] of Object.entries(tag.dataset)) {
      widget.setAttribute(name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase()), value);
    }
    document.body.append(widget);
  };
  modules.then(() => {
    if (document.body) place();
    else addEventListener("DOMContentLoaded", place, { once: true });
  });
})();
