/** The moment: numbers on top, who waits, the queues, the agents, what it is about, and how the system does. */
import { clockTime } from "../shared/dates.js";
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { hueOf } from "../desk/standing.js";
import { botShare, messagesOf } from "./rows.js";
import { openSkills } from "./skills.js";
import { View, card, groupName, intentName, keyed, milliseconds, nameOf, number, percent, seconds, table, wait } from "./view.js";
import { t, words } from "./words.js";

const TILES = ["waiting", "oldest", "late", "held", "withBot", "here", "rate", "bot", "answer"];
const MOST_INTENTS = 8;
const STATUS = { online: "online", away: "away", offline: "offlinePresence" };
const LOSSES = ["missing", "unknown", "refused", "duplicates", "repaired"];

class Live extends View {
  #cases = new Map();
  #groups = new Map();
  #agents = new Map();
  #filter = { kind: "all", value: "" };

  build() {
    fill(this, this.#tiles(), h("div", { class: "board-grid" }, this.#casesCard(), h("div", { class: "board-side" }, this.#groupsCard(), this.#agentsCard())), this.#lowerCards());
    this.follow(["board", "age", "names", "case"], () => this.#show());
    this.#show();
  }

  // -- what stands there --------------------------------------------------------------------------

  #tiles() {
    this.tiles = {};
    const tile = (name) => {
      const parts = { value: h("dd", { class: "tile-value" }, "–"), hint: h("dd", { class: "tile-hint" }) };
      parts.root = h("div", { class: `tile tile-${name}` }, h("dt", { class: "tile-name" }, t(`tile_${name}`)), parts.value, parts.hint);
      this.tiles[name] = parts;
      return parts.root;
    };
    return h("dl", { class: "tiles" }, TILES.map(tile));
  }

  #casesCard() {
    this.caseBody = h("tbody");
    this.caseNone = h("p", { class: "none", hidden: true });
    this.caseMore = h("p", { class: "card-note", hidden: true });
    this.filters = ["all", "waiting", "late"].map((kind) =>
      h("button", { class: "tab", type: "button", "aria-pressed": "false", dataset: { kind }, onclick: () => this.#choose(kind) }, t(`filter_${kind}`)),
    );
    this.chosen = h("button", { class: "chip", type: "button", hidden: true, onclick: () => this.#choose("all") });
    const heads = [[t("headContact")], [t("headState")], [t("headGroup"), "wide"], [t("headIntent"), "wide"], [t("headWaits"), "num"]];
    return card(
      t("conversations"),
      { name: "cases", head: h("div", { class: "tabs-line", role: "group", "aria-label": t("filter") }, this.chosen, this.filters) },
      table(t("conversations"), heads, this.caseBody, "cases"),
      this.caseNone,
      this.caseMore,
    );
  }

  #groupsCard() {
    this.groupBody = h("tbody");
    const heads = [[t("headGroup")], [t("headWaiting"), "num"], [t("headLongest"), "num"], [t("headLate"), "num"], [t("headHeld"), "num"], [t("headFree"), "num"]];
    return card(t("queues"), { name: "groups" }, table(t("queues"), heads, this.groupBody, "groups"));
  }

  #agentsCard() {
    this.agentBody = h("tbody");
    const heads = [[t("headAgent")], [t("headLoad")], [t("headLate"), "num"], [h("span", { class: "unseen" }, t("headActs")), "act"]];
    return card(t("agents"), { name: "agents" }, table(t("agents"), heads, this.agentBody, "agents"));
  }

  #lowerCards() {
    this.intents = h("ol", { class: "bars" });
    this.intentNone = h("p", { class: "none" }, t("intentsNone"));
    this.latencyBody = h("tbody");
    this.latencyNone = h("p", { class: "none" }, t("latencyNone"));
    this.losses = h("dl", { class: "pairs" });
    this.lossHint = h("p", { class: "card-note" });
    this.channels = h("dl", { class: "pairs" });
    this.processes = h("dl", { class: "pairs" });
    this.latencyTable = table(t("latency"), [[t("headStage")], [t("headTimes"), "num"], ["p50", "num"], ["p95", "num"], ["p99", "num"]], this.latencyBody, "latency");
    return h(
      "div",
      { class: "board-lower" },
      card(t("intents"), { name: "intents" }, this.intents, this.intentNone),
      card(t("latency"), { name: "latency" }, this.latencyTable, this.latencyNone, h("p", { class: "card-note" }, t("latencyNote"))),
      card(t("losses"), { name: "losses" }, this.losses, this.lossHint),
      card(t("channels"), { name: "channels" }, this.channels, h("h3", { class: "card-sub" }, t("processes")), this.processes),
    );
  }

  // -- what it says -------------------------------------------------------------------------------

  #show() {
    const { board } = this.model;
    this.classList.toggle("is-empty", !board);
    if (!board) return;
    const now = this.model.clock.now();
    this.#showTiles(board, now);
    this.#showCases(board, now);
    this.#showGroups(board, now);
    this.#showAgents(board);
    this.#showIntents(board);
    this.#showSystem(board);
  }

  #tile(name, value, hint = "", tone = "") {
    const parts = this.tiles[name];
    setText(parts.value, value);
    setText(parts.hint, hint);
    setAttribute(parts.root, "class", `tile tile-${name}${tone ? ` is-${tone}` : ""}`);
  }

  #showTiles(board, now) {
    const { totals, hour, before } = board;
    const late = totals.waiting_late + totals.held_late;
    const oldest = totals.oldest_ms === null ? null : Math.max(0, now - totals.oldest_ms);
    this.#tile("waiting", number(totals.waiting), totals.snoozed ? t("snoozedToo", { n: number(totals.snoozed) }) : "");
    this.#tile("oldest", oldest === null ? "–" : wait(oldest), t("within", { time: wait(board.answer_within_s * 1000) }), this.#tone(oldest));
    this.#tile("late", number(late), late ? t("lateSplit", { waiting: number(totals.waiting_late), held: number(totals.held_late) }) : t("lateNone"), late ? "late" : "");
    this.#tile("held", number(totals.held), totals.free === null ? "" : t("freePlaces", { n: number(totals.free) }));
    this.#tile("withBot", number(totals.with_bot), "");
    this.#tile("here", totals.here === null ? "–" : number(totals.here), totals.here === null ? t("notKnown") : t("ofAgents", { n: number(board.agents.length) }));
    const rate = this.model.rate.perMinute;
    this.#tile("rate", rate === null ? "–" : number(rate, rate < 10 ? 1 : 0), t("thisHour", { n: number(messagesOf(hour)) }));
    this.#tile("bot", percent(botShare(hour)), t("beforeHour", { value: percent(botShare(before)) }));
    this.#tile("answer", seconds(hour.wait_p50_s), hour.answered ? t("lateOf", { late: number(hour.late), n: number(hour.answered) }) : t("answeredNone"), hour.late ? "soon" : "");
  }

  /** `late`, `soon` or nothing, by how much of the time for an answer is over. */
  #tone(waited) {
    if (waited === null) return "";
    const part = waited / 1000 / this.model.board.answer_within_s;
    return part >= 1 ? "late" : part >= 0.5 ? "soon" : "";
  }

  #choose(kind, value = "") {
    this.#filter = { kind, value };
    this.#show();
  }

  #wanted(one) {
    const { kind, value } = this.#filter;
    if (kind === "waiting") return one.state === "waiting";
    if (kind === "late") return one.late;
    if (kind === "group") return one.skill === value;
    if (kind === "agent") return one.agent === value;
    return true;
  }

  #showCases(board, now) {
    const { kind, value } = this.#filter;
    for (const button of this.filters) setAttribute(button, "aria-pressed", String(button.dataset.kind === kind));
    this.chosen.hidden = kind !== "group" && kind !== "agent";
    if (!this.chosen.hidden) {
      const name = kind === "group" ? groupName(value) : value;
      fill(this.chosen, h("span", {}, name), " ", h("span", { "aria-hidden": "true" }, "×"), h("span", { class: "unseen" }, t("filterAway")));
    }
    const cases = board.cases.filter((one) => this.#wanted(one));
    keyed(this.caseBody, this.#cases, cases, (one) => one.id, (one) => this.#makeCase(one), (row, one) => this.#updateCase(row, one, now));
    this.caseNone.hidden = cases.length > 0;
    setText(this.caseNone, t(kind === "all" ? "casesNone" : "casesNoneHere"));
    const read = board.groups.reduce((sum, group) => sum + group.waiting + group.held, 0);
    const hidden = board.totals.not_read + read - board.cases.length;
    this.caseMore.hidden = hidden <= 0;
    setText(this.caseMore, t("casesMore", { n: number(hidden) }));
  }

  #makeCase({ id, contact }) {
    const parts = {
      name: h("button", { class: "link case-open", type: "button", onclick: () => this.model.openCase(id) }),
      text: h("span", { class: "case-text", dir: "auto" }),
      state: h("span", { class: "tag" }),
      agent: h("span", { class: "case-agent" }),
      group: h("td", { class: "wide" }),
      intent: h("td", { class: "wide" }),
      waits: h("span", { class: "time" }),
    };
    const hue = `avatar hue-${hueOf(contact)}`;
    const row = h(
      "tr",
      { onclick: (event) => event.target.closest("button, a") || this.model.openCase(id) },
      h("td", { class: "case-who" }, h("span", { class: hue, "aria-hidden": "true" }, contact.slice(-2).toUpperCase()), h("div", { class: "case-said" }, parts.name, parts.text)),
      h("td", { class: "case-where" }, parts.state, parts.agent),
      parts.group,
      parts.intent,
      h("td", { class: "num" }, parts.waits),
    );
    row.parts = parts;
    return row;
  }

  #updateCase(row, one, now) {
    const { parts } = row;
    setText(parts.name, nameOf(one.contact, one.name));
    setText(parts.text, one.text ? `${one.author === "contact" ? "" : `${one.author === "bot" ? t("bot") : one.agent || t("agent")}: `}${one.text}` : "");
    setText(parts.state, t(`state_${one.state}`));
    setText(parts.agent, one.agent);
    setText(parts.group, groupName(one.skill));
    setText(parts.intent, one.intent ? intentName(this.model, one.intent) : "–");
    const waited = one.since_ms === null ? null : Math.max(0, now - one.since_ms);
    setText(parts.waits, waited === null ? t("answered") : wait(waited));
    const late = one.late || this.#tone(waited) === "late";
    setAttribute(parts.waits, "class", `time ${waited === null ? "" : late ? "late" : this.#tone(waited) || "calm"}`);
    setAttribute(row, "class", `case-row${late ? " is-late" : ""}${this.model.opened === one.id ? " is-open" : ""}`);
    parts.waits.title = one.since_ms === null ? "" : t("since", { time: clockTime(words.language, one.since_ms) });
  }

  #showGroups(board, now) {
    keyed(
      this.groupBody,
      this.#groups,
      board.groups,
      (group) => group.skill,
      (group) => {
        const cells = ["waiting", "longest", "late", "held", "free"].map(() => h("td", { class: "num" }));
        const row = h("tr", {}, h("th", { scope: "row" }, h("button", { class: "link", type: "button", onclick: () => this.#choose("group", group.skill) }, groupName(group.skill))), cells);
        row.cells_ = cells;
        return row;
      },
      (row, group) => {
        const [waiting, longest, late, held, free] = row.cells_;
        const waited = group.oldest_ms === null ? null : Math.max(0, now - group.oldest_ms);
        setText(waiting, number(group.waiting));
        setText(longest, wait(waited));
        setAttribute(longest, "class", `num${this.#tone(waited) ? ` is-${this.#tone(waited)}` : ""}`);
        setText(late, number(group.late));
        setAttribute(late, "class", `num${group.late ? " is-late" : ""}`);
        setText(held, number(group.held));
        setText(free, group.free === null ? "–" : number(group.free));
        free.title = group.agents === null ? t("notKnown") : t("groupAgents", { n: number(group.agents) });
      },
    );
  }

  #showAgents(board) {
    keyed(
      this.agentBody,
      this.#agents,
      board.agents,
      (agent) => agent.name,
      (agent) => this.#makeAgent(agent),
      (row, agent) => this.#updateAgent(row, agent),
    );
  }

  #makeAgent(agent) {
    const parts = {
      dot: h("span", { class: "dot" }),
      presence: h("span", { class: "agent-presence" }),
      load: h("meter", { class: "load", min: 0 }),
      count: h("span", { class: "load-count" }),
      skills: h("div", { class: "tags" }),
      late: h("td", { class: "num" }),
    };
    parts.skillsKey = null;
    const row = h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h("div", { class: "agent-name" }, parts.dot, h("button", { class: "link", type: "button", onclick: () => this.#choose("agent", agent.name) }, agent.name), parts.presence),
        parts.skills,
      ),
      h("td", { class: "agent-load" }, parts.load, parts.count),
      parts.late,
      h(
        "td",
        { class: "act" },
        h("button", { class: "tool small", type: "button", title: t("skillsOf", { name: agent.name }), "aria-label": t("skillsOf", { name: agent.name }), onclick: () => openSkills(this.model, agent.name) }, icon("settings", 15)),
      ),
    );
    row.parts = parts;
    return row;
  }

  #updateAgent(row, agent) {
    const { parts } = row;
    const status = agent.here === false ? "offline" : agent.status;
    setAttribute(parts.dot, "class", `dot is-${agent.here === null ? "unknown" : status}`);
    const word = agent.here === null ? t("notKnown") : t(agent.here ? STATUS[agent.status] : "notHere");
    setText(parts.presence, agent.here && agent.reason ? `${word} · ${agent.reason}` : word);
    parts.load.max = Math.max(1, agent.capacity);
    parts.load.value = Math.min(agent.held, agent.capacity);
    const load = t(agent.offered ? "loadOffered" : "load", { held: number(agent.held), capacity: number(agent.capacity), offered: number(agent.offered) });
    setAttribute(parts.load, "aria-label", load);
    setText(parts.count, `${number(agent.held)} / ${number(agent.capacity)}`);
    setAttribute(parts.count, "class", `load-count${agent.held > agent.capacity ? " is-late" : ""}`);
    parts.count.title = load;
    setText(parts.late, number(agent.late));
    setAttribute(parts.late, "class", `num${agent.late ? " is-late" : ""}`);
    const key = agent.skills.join("\n");
    if (parts.skillsKey !== key) {
      parts.skillsKey = key;
      fill(parts.skills, agent.skills.map((skill) => h("span", { class: "tag" }, skill)));
    }
  }

  #showIntents(board) {
    const found = Object.entries(board.hour.intents).slice(0, MOST_INTENTS);
    const most = Math.max(1, ...found.map(([, n]) => n));
    const key = JSON.stringify([found, words.language, this.model.names.intents.length]);
    this.intentNone.hidden = found.length > 0;
    this.intents.hidden = !found.length;
    if (this.intentsKey === key) return;
    this.intentsKey = key;
    fill(
      this.intents,
      found.map(([intent, n]) => {
        const bar = h("span", { class: "bar-fill" });
        bar.style.width = `${(100 * n) / most}%`;
        return h("li", { class: "bar" }, h("span", { class: "bar-name" }, intentName(this.model, intent)), h("span", { class: "bar-track", "aria-hidden": "true" }, bar), h("span", { class: "bar-count" }, number(n)));
      }),
    );
  }

  #showSystem({ system, hour }) {
    const { latencies, losses, channels, processes } = system;
    const key = JSON.stringify([system, hour.undelivered, words.language]);
    if (this.systemKey === key) return;
    this.systemKey = key;
    this.latencyNone.hidden = latencies.length > 0;
    this.latencyTable.hidden = !latencies.length;
    fill(
      this.latencyBody,
      latencies.map((each) =>
        h("tr", {}, h("th", { scope: "row" }, t(`stage_${each.stage}`)), h("td", { class: "num" }, number(each.n)), [each.p50_ms, each.p95_ms, each.p99_ms].map((ms) => h("td", { class: "num" }, milliseconds(ms)))),
      ),
    );
    fill(this.losses, LOSSES.map((name) => pair(t(`loss_${name}`), losses.checked || name !== "missing" ? number(losses[name]) : "–", losses[name] && name === "missing" ? "late" : "", t(`loss_${name}_hint`))));
    const since = system.since_ms === null ? "" : t("sinceStart", { time: clockTime(words.language, system.since_ms) });
    setText(this.lossHint, `${t("lossChecked", { n: number(losses.checked) })} ${since}`);
    fill(
      this.channels,
      pair(t("outboxState"), t(`outbox_${channels.state || "none"}`), channels.state === "running" ? "" : "soon"),
      pair(t("outboxQueued"), number(channels.queued)),
      pair(t("outboxSent"), number(channels.sent)),
      pair(t("outboxRetried"), number(channels.retried), channels.retried ? "soon" : ""),
      pair(t("outboxFailed"), number(channels.failed), channels.failed ? "late" : ""),
      pair(t("undelivered"), number(hour.undelivered), hour.undelivered ? "late" : ""),
    );
    fill(
      this.processes,
      processes.map((each) => pair(t(`process_${each.kind}`), t("aliveOf", { alive: number(each.alive), planned: number(each.planned) }), each.alive < each.planned ? "late" : "")),
      pair(t("sockets"), number(system.sockets)),
    );
  }
}

function pair(name, value, tone = "", hint = "") {
  return h("div", { title: hint || null }, h("dt", {}, name), h("dd", { class: tone ? `is-${tone}` : null }, value));
}

customElements.define("rd-live", Live);
