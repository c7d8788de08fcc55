"""HTTP for every service: one app factory with guards, problem details, health and metrics routes.

A route asks for its caller like this:

    @router.get("/v1/things/{thing_id}")
    async def read_thing(thing_id: Identifier, caller: Annotated[Principal, require("agent", "supervisor")]) -> Thing: ...

`require(*roles)` answers 401 without a valid token, 403 without one of the roles; no roles: any valid token.
`require("storefront", browser_keys=True)` also lets publishable browser keys in. `Identifier` is a str of 1 to 128
visible characters without control characters; `Text(max)` likewise for free text. Request models inherit from
`StrictModel` (pydantic, strict, extra forbidden). Raise errors of the five kinds; they become problem+json here.
`problem_responses(404, 409)` gives the `responses=` of a route. `page(items, next)` and `Cursor` do lists.
"""
