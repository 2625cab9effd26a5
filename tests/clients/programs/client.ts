// A front end in small: what openapi-typescript makes of the document is used as it is meant to be.
// Called with the server's address; it ends with 0 when all answers were as expected.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>): void => {};

// What the compiler knows.
same<Schemas["Status"], "abierto" | "en_progreso" | "cerrado">(true);
same<Schemas["Ticket"]["status"], Schemas["Status"]>(true);
same<Schemas["Ticket"]["priority"], Schemas["Priority"]>(true);
same<Schemas["User"]["role"], Schemas["Role"]>(true);
same<Schemas["Message"]["sender"], Schemas["Sender"]>(true);
same<Schemas["Token"]["scopes"], Schemas["Scope"][]>(true);
same<Schemas["TokenCreate"]["scopes"], Schemas["Scope"][]>(true);
same<Schemas["TicketPreconditionFailed"]["current"], Schemas["Ticket"] | undefined>(true);
const shortest: Schemas["TicketCreate"] = { client_id: 55, subject: "Cannot print" };
const message: Schemas["MessageCreate"] = { content: "Hello" };
const user: Schemas["UserCreate"] = { full_name: "Ann", username: "ann1", password: "correct horse" };
// @ts-expect-error a status is one of three words
const wrong: Schemas["TicketCreate"] = { client_id: 55, subject: "Cannot print", status: "open" };
void [message, user, wrong];

function defined<T>(value: T | undefined): T {
  assert.notEqual(value, undefined);
  return value as T;
}

const baseUrl = defined(process.argv[2]);
const anybody = createClient<paths, "application/json">({ baseUrl });

// Reads that need no token, and the pages of a list to its end.
const tickets: Schemas["Ticket"][] = [];
let cursor: string | undefined;
do {
  const page = await anybody.GET("/api/tickets", { params: { query: { limit: 2, cursor } } });
  tickets.push(...defined(page.data));
  const next = /<([^>]*)>; rel="next"/.exec(page.response.headers.get("Link") ?? "")?.[1];
  cursor = next && (new URL(next, baseUrl).searchParams.get("cursor") ?? undefined);
} while (cursor);
assert.deepEqual(tickets.map((ticket) => ticket.ticket_id), [102, 101, 100, 99, 98, 7]);

// The same list as a file.
const files = createClient<paths, "text/csv">({ baseUrl, headers: { Accept: "text/csv" } });
const file = await files.GET("/api/tickets", { parseAs: "text" });
const lines: string[] = defined(file.data).split("\r\n");
assert.ok(defined(lines[0]).startsWith("ticket_id,client_id,subject"));

// Log in.
const refused = await anybody.POST("/api/login", { body: { username: "user1", password: "no" } });
assert.equal(refused.response.status, 401);
assert.equal(defined(refused.error).detail, "Unauthorized");
const login = await anybody.POST("/api/login", { body: { username: "user1", password: "secret" } });
const headers = { Authorization: `Bearer ${defined(login.data).access_token}` };
const api = createClient<paths, "application/json">({ baseUrl, headers });
const me = defined((await api.GET("/api/me")).data);
assert.equal(me.username, "user1");

// Create, and read the errors of a field.
const created = await api.POST("/api/tickets", { body: shortest });
assert.equal(created.response.status, 201);
const ticket: Schemas["Ticket"] = defined(created.data);
assert.deepEqual([ticket.status, ticket.priority, ticket.tags], ["abierto", "media", []]);
const unknown = await api.POST("/api/tickets", { body: { ...shortest, client_id: 424242 } });
assert.equal(unknown.response.status, 400);
const messages = defined(defined(unknown.error).errors)["client_id"];
assert(Array.isArray(messages));
same<typeof messages, string[]>(true);
assert.equal(typeof messages[0], "string");
const many = await api.PATCH("/api/tickets", {
  body: { ticket_ids: [ticket.ticket_id, 424242], set: { status: "cerrado" } },
});
const nested = defined(defined(many.error).errors)["ticket_ids"];
assert(nested && !Array.isArray(nested));
assert(Array.isArray(nested["1"]));

// Change what nobody else has changed, then what somebody has.
const path = { ticket_id: ticket.ticket_id };
const etag = defined(created.response.headers.get("ETag") ?? undefined);
const change = { params: { path, header: { "If-Match": etag } } };
const closed = await api.PATCH("/api/tickets/{ticket_id}", { ...change, body: { status: "cerrado" } });
assert.equal(defined(closed.data).status, "cerrado");
const late = await api.PATCH("/api/tickets/{ticket_id}", { ...change, body: { priority: "alta" } });
assert.equal(late.response.status, 412);
const fault = defined(late.error);
assert("current" in fault);
const current: Schemas["Ticket"] = defined(fault.current);
assert.equal(current.status, "cerrado");
assert.notEqual(current.resolved_at, null);

// What changed.
const history = await api.GET("/api/tickets/{ticket_id}/history", { params: { path } });
const [last] = defined(history.data);
const { before, after } = defined(last);
type Value = string | null | number | boolean | string[] | { [key: string]: unknown };
same<typeof before, { [key: string]: Value } | null>(true);
assert.deepEqual([before?.["status"], after?.["status"]], ["abierto", "cerrado"]);

// End the session.
assert.equal((await api.POST("/api/logout")).response.status, 204);
assert.equal((await api.GET("/api/me")).response.status, 401);
