// Before the page is drawn: the language asked for, chosen earlier, or the browser's own.
"use strict";
(() => {
  const asked = new URL(location.href).searchParams.get("lang") ?? sessionStorage.getItem("shop language");
  const chinese = (asked ?? navigator.language).toLowerCase().startsWith("zh");
  document.documentElement.lang = chinese ? "zh-CN" : "en";
  if (asked) sessionStorage.setItem("shop language", asked);
})();
