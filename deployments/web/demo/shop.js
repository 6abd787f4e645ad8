/** What a shop's own page does: change its language, log its customer in, and tell the chat who that is. */
const CUSTOMER = "shop customer";
const ready = new Promise((resolve) => {
  document.addEventListener("raydesk-ready", (event) => resolve(event.target), { once: true });
});
const account = document.getElementById("account");

document.getElementById("language").addEventListener("click", () => {
  const url = new URL(location.href);
  url.searchParams.set("lang", document.documentElement.lang.startsWith("zh") ? "en" : "zh");
  location.assign(url);
});

async function tellChat() {
  const chat = document.querySelector("raydesk-widget") ?? (await ready);
  const name = sessionStorage.getItem(CUSTOMER);
  if (!name) {
    if (chat.hasAttribute("user-id")) chat.forget();
    return null;
  }
  // the shop's backend vouches; a real one would do so for whoever its own session belongs to
  const answer = await fetch(`/demo/customers/${name}`, { method: "POST" });
  if (!answer.ok) return null;
  const customer = await answer.json();
  chat.identify(customer.user_id, customer.user_hash);
  return customer;
}

async function show() {
  const customer = await tellChat();
  const chinese = document.documentElement.lang.startsWith("zh");
  const logIn = chinese ? "以 Mei 的身份登录" : "Log in as Mei";
  account.textContent = customer ? `${customer.name} · ${chinese ? "退出" : "log out"}` : logIn;
  account.hidden = false;
}

account.addEventListener("click", async () => {
  if (sessionStorage.getItem(CUSTOMER)) sessionStorage.removeItem(CUSTOMER);
  else sessionStorage.setItem(CUSTOMER, "mei");
  await show();
});

await show();
