// What a gateway does about identity: it has checked who the client is (here the bearer token is
// the user's id) and says so to subgraphs beside its secret. Whatever identity headers a client
// sends of its own accord go no further.
export function identityHeaders(authorization) {
  const user = authorization?.replace(/^Bearer /, "") ?? "";
  const own = "assistant:complete assistant:usage:read";
  return {
    "x-gateway-secret": process.env.GATEWAY_SECRET,
    "x-tenant-id": "acme",
    "x-user-id": user,
    "x-scopes": user === "operator" ? `${own} assistant:admin` : own,
  };
}
