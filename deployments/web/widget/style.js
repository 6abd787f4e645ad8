/**
 * The widget's looks. They live in a constructed style sheet of the shadow root: that needs no `unsafe-inline` of the
 * page around it, and neither side's rules reach the other.
 */
const RULES = `
:host {
  --accent: #2454d6; --on-accent: #fff;
  --ground: #f4f5f7; --card: #fff; --ink: #1a1d24; --soft: #5d6472; --line: #e0e3e9; --shade: rgb(20 24 36 / .18);
  --bad: #b3261e; --bad-ground: #fdeceb; --note: #fff6dc; --note-ink: #6b4e00; --star: #d98a00;
  all: initial; position: fixed; z-index: 2147483000; inset-block-end: 20px; inset-inline-end: 20px;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei",
    sans-serif;
  color: var(--ink); color-scheme: light;
}
:host([side="left"]) { inset-inline: 20px auto; }
:host([hidden]) { display: none; }
:host([data-dark]) {
  --ground: #14161b; --card: #22252d; --ink: #eceef2; --soft: #a3a9b6; --line: #343946; --shade: rgb(0 0 0 / .6);
  --bad: #ffb4ab; --bad-ground: #3b1f1d; --note: #37301a; --note-ink: #f1d98a; --star: #f5b83d;
  color-scheme: dark;
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button, textarea, input { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; padding: 0; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
:host([data-dark]) :focus-visible { outline-color: #a9bfff; }
.icon { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bubble {
  display: grid; place-items: center; width: 60px; height: 60px; margin-inline-start: auto; border-radius: 50%;
  background: var(--accent); color: var(--on-accent); box-shadow: 0 6px 20px var(--shade); transition: transform .15s;
}
:host([side="left"]) .bubble { margin-inline: 0 auto; }
.bubble:hover { transform: scale(1.05); }
:host([data-open]) .bubble .chat, :host(:not([data-open])) .bubble .down { display: none; }
.bubble svg { width: 28px; height: 28px; }
.count {
  position: absolute; inset: -2px -2px auto auto; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
  background: #c4271b; color: #fff; font-size: 13px; font-weight: 600; line-height: 22px; text-align: center;
}

.panel {
  display: flex; flex-direction: column; width: 384px; height: min(640px, calc(100vh - 120px)); max-width: 100vw;
  margin-block-end: 14px; border-radius: 16px; overflow: hidden; background: var(--ground);
  border: 1px solid var(--line); box-shadow: 0 14px 44px var(--shade);
}
.head {
  display: flex; align-items: center; gap: 12px; padding: 14px 12px 14px 18px;
  background: var(--accent); color: var(--on-accent);
}
.head h2 { margin: 0; font-size: 16px; font-weight: 650; line-height: 1.3; }
.head p { margin: 0; font-size: 13px; line-height: 1.35; }
.head div { flex: 1; min-width: 0; }
.head button { display: grid; place-items: center; width: 40px; height: 40px; border-radius: 10px; }
.head button:hover { background: rgb(128 128 128 / .25); }
.head :focus-visible, .bubble:focus-visible { outline-color: var(--on-accent); outline-offset: -4px; }

.banner { display: flex; align-items: center; gap: 10px; padding: 8px 16px; font-size: 13px;
  background: var(--note); color: var(--note-ink); }
.banner span { flex: 1; }
.banner button, .link { text-decoration: underline; text-underline-offset: 2px; padding: 4px 2px; }

.scroll { position: relative; flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain;
  overflow-anchor: none; padding: 16px 14px 8px; }
.log { display: flex; flex-direction: column; gap: 3px; }
.day { align-self: center; margin: 12px 0 8px; font-size: 12px; color: var(--soft); }
.log > :first-child { margin-block-start: 0; }
.system { align-self: center; max-width: 88%; margin: 12px 0; font-size: 13px; color: var(--soft); text-align: center; }
.who { margin: 10px 0 2px 12px; font-size: 12px; color: var(--soft); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; max-width: 80%; }
.message { max-width: 84%; padding: 9px 13px; border-radius: 16px; overflow: hidden; contain: paint;
  background: var(--card); border: 1px solid var(--line); align-self: flex-start; }
.mine { align-self: flex-end; background: var(--accent); border-color: transparent; color: var(--on-accent); }
.message a { color: inherit; overflow-wrap: anywhere; text-underline-offset: 2px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; text-align: start; }
.clamped .text { max-height: 15em; overflow: hidden; mask-image: linear-gradient(#000 12em, transparent 15em); }
.message .link { display: block; margin-block-start: 4px; font-size: 13px; font-weight: 600; }
.file { display: flex; align-items: center; gap: 8px; max-width: 100%; min-height: 32px; text-align: start; }
.file svg, .file small { flex: none; }
.file bdi { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.foot { display: flex; align-items: center; gap: 6px; margin: 2px 6px 6px 12px; font-size: 12px; color: var(--soft); }
.foot.own { align-self: flex-end; margin-inline: 12px 6px; }
.foot svg { width: 15px; height: 15px; }
.ticks svg + svg { margin-inline-start: -10px; }
.foot .bad { color: var(--bad); }
.faint { opacity: .72; }
.typing { align-self: flex-start; display: flex; align-items: center; gap: 4px; margin-block-start: 8px;
  padding: 14px 15px; border: 1px solid var(--line); border-radius: 16px; background: var(--card); }
.typing i { width: 7px; height: 7px; border-radius: 50%; background: var(--soft); animation: beat 1.2s infinite; }
.typing i:nth-child(2) { animation-delay: .15s; }
.typing i:nth-child(3) { animation-delay: .3s; }
@keyframes beat { 0%, 60%, 100% { opacity: .35; } 30% { opacity: 1; } }
.earlier { align-self: center; margin-block-end: 10px; font-size: 13px; color: var(--soft); }
.below { position: sticky; inset-block-end: 4px; display: block; margin: 0 auto; padding: 6px 14px; border-radius: 16px;
  background: var(--ink); color: var(--ground); font-size: 13px; box-shadow: 0 4px 14px var(--shade); }
.card { margin: 14px 2px 6px; padding: 14px 16px; border: 1px solid var(--line); border-radius: 14px;
  background: var(--card); }
.card h3 { margin: 0 0 6px; font-size: 15px; font-weight: 650; }
.card p { margin: 0 0 4px; }
.queue { display: flex; gap: 12px; align-items: flex-start; }
.queue svg { flex: none; color: var(--soft); margin-block-start: 2px; }
.queue small { display: block; margin-block-start: 2px; font-size: 13px; color: var(--soft); }
.stars { display: flex; gap: 2px; margin: 2px 0 8px -8px; border: 0; padding: 0; min-width: 0; }
.stars label { position: relative; display: grid; place-items: center; width: 44px; height: 44px; cursor: pointer;
  border-radius: 10px; color: var(--soft); }
.stars label.on { color: var(--star); }
.stars input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.stars label:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: -2px; }
.stars svg { width: 28px; height: 28px; }
.stars .on svg { fill: currentColor; }
label.field { display: block; margin-block: 12px 0; font-size: 13px; font-weight: 600; }
label.field span { font-weight: 400; color: var(--soft); }
.field input, .field textarea { display: block; width: 100%; margin-block-start: 4px; padding: 9px 11px; font-size: 15px;
  font-weight: 400; border: 1px solid #868d9c; border-radius: 10px; background: var(--card); resize: none; }
.field em { display: block; margin-block-start: 3px; font-style: normal; font-weight: 400; color: var(--bad); }
.main { display: block; width: 100%; min-height: 44px; margin-block-start: 14px; border-radius: 11px; font-weight: 600;
  background: var(--accent); color: var(--on-accent); }
.card > .link { display: block; margin: 8px auto -4px; font-size: 14px; color: var(--soft); }
.main:disabled { opacity: .5; cursor: default; }

.chips { display: flex; flex-wrap: wrap; gap: 8px; padding: 4px 14px 10px; }
.chips button { min-height: 36px; padding: 6px 14px; border: 1px solid var(--line); border-radius: 18px;
  background: var(--card); font-size: 14px; text-align: start; overflow-wrap: anywhere; }
.chips button:hover { border-color: var(--soft); }
.chips .person { font-weight: 600; }
.composer { display: flex; align-items: flex-end; gap: 8px; padding: 10px 10px 10px 14px; background: var(--card);
  border-block-start: 1px solid var(--line); }
.composer textarea { flex: 1; min-height: 40px; max-height: 128px; padding: 9px 2px; border: 0; outline: 0; resize: none;
  background: none; font-size: 16px; line-height: 22px; }
.composer:focus-within { box-shadow: inset 0 2px var(--accent); }
textarea::placeholder { color: var(--soft); opacity: 1; }
.composer button { display: grid; place-items: center; flex: none; width: 40px; height: 40px; border-radius: 50%;
  background: var(--accent); color: var(--on-accent); }
.composer button:disabled { background: var(--line); color: var(--soft); cursor: default; }

@media (max-width: 480px) {
  :host([data-open]) { inset: 0; }
  :host([data-open]) .bubble { display: none; }
  .panel { width: 100%; height: 100vh; height: 100dvh; margin: 0; border: 0; border-radius: 0; }
}
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .message, .panel, .bubble { border: 1px solid; } }
`;

let sheet;

/** Return the one sheet that all widgets of a page share. */
export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(RULES);
  }
  return sheet;
}

/** Return white or near-black, whichever is easier to read on a colour (WCAG 2.2, contrast ratio). */
export function readableOn([red, green, blue]) {
  const linear = [red, green, blue].map((each) => {
    const part = each / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return 1.05 / (light + 0.05) >= (light + 0.05) / 0.0565 ? "#ffffff" : "#14161b";
}
