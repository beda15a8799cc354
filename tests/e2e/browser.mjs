// Opens /docs in a headless Chromium, as somebody would who wants to try the API.
// Takes {chromium, url, key, user, shot?} as JSON on its input, and prints what it saw as JSON.
import { chromium } from "playwright-core";

const asked = JSON.parse(await new Response(process.stdin).text());
const seen = { requests: [], errors: [], operations: [], unrendered: 0, answers: {} };

const browser = await chromium.launch({
    executablePath: asked.chromium,
    args: [
        ..."--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split(" "),
        ..."--disable-background-networking --disable-component-update".split(" "),
        // No internet: every other name is unknown.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
});
try {
    const page = await browser.newPage({ viewport: { width: 1280, height: asked.shot ? 1600 : 800 } });
    page.setDefaultTimeout(20_000);
    page.on("request", (request) => seen.requests.push(request.url()));
    page.on("requestfailed", (request) => seen.errors.push(`${request.url()}: ${request.failure().errorText}`));
    page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
    page.on("pageerror", (error) => seen.errors.push(String(error)));

    await page.goto(`${asked.url}/docs`);
    await page.waitForSelector(".opblock");
    for (const block of await page.locator(".opblock").all()) {
        // One at a time, and without the mouse: a page with all of them open is slow to draw.
        const control = block.locator(".opblock-summary-control");
        await control.dispatchEvent("click");
        await block.locator(".opblock-body .responses-table").first().waitFor();
        seen.unrendered += await block.getByText("Could not render").count();
        await control.dispatchEvent("click");
        const method = await block.locator(".opblock-summary-method").textContent();
        const path = await block.locator(".opblock-summary-path").getAttribute("data-path");
        seen.operations.push(`${method} ${path}`);
    }

    await page.locator(".btn.authorize").click();
    await page.locator(".auth-container input").fill(asked.key);
    await page.locator(".auth-btn-wrapper .btn.authorize").click();
    await page.locator(".auth-btn-wrapper .btn-done").click();

    const block = (method, path) =>
        page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) });
    const tryOut = async (method, path, parameters) => {
        const operation = block(method, path);
        await operation.locator(".opblock-summary-control").dispatchEvent("click");
        for (const [name, value] of Object.entries({ "X-User-Id": asked.user, ...parameters }))
            await operation.locator(`tr[data-param-name="${name}"] input`).fill(value);
        await operation.locator(".btn.execute").click();
        const live = operation.locator(".live-responses-table tr.response").first();
        await live.waitFor();
        seen.answers[`${method} ${path}`] = {
            status: Number.parseInt(await live.locator(".response-col_status").innerText(), 10),
            body: JSON.parse(await live.locator(".highlight-code code").first().textContent()),
        };
    };
    // With the example as it stands in the page.
    await tryOut("post", "/chats/{chat}/messages", { chat: "key:tried/out" });
    await tryOut("get", "/chats", {});

    await page.reload();
    await page.waitForSelector(".opblock");
    seen.authorized_after_reload = (await page.locator(".btn.authorize.locked").count()) === 1;
    if (asked.shot) {
        await page.screenshot({ path: `${asked.shot}/1.png` });
        await block("get", "/chats").locator(".opblock-summary-control").click();
        await block("get", "/chats").screenshot({ path: `${asked.shot}/2.png` });
        await block("post", "/chats").locator(".opblock-summary-control").click();
        await block("post", "/chats").screenshot({ path: `${asked.shot}/3.png` });
    }
} finally {
    await browser.close();
}
console.log(JSON.stringify(seen));
