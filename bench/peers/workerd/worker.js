// The same small JSON as every other side.
const ANSWER = JSON.stringify({ message: "hello" });
const HEADERS = { "content-type": "application/json" };

export default {
  fetch(request) {
    const path = new URL(request.url).pathname;
    return path === "/json" ? new Response(ANSWER, { headers: HEADERS }) : new Response("{}", { status: 404, headers: HEADERS });
  },
};
