import { expect, test } from "vitest";
import { hrefOf, routeOf, withQuery } from "../../src/router/route.ts";

test("each view's URL names it and its parts, and comes back the same", () => {
  const params = { environment: "pro duction", destination: "a/b?c" };
  const href = hrefOf("deadLetters", { params, query: { reason: "400 & more", since: "" } });
  expect(href).toBe("/dead/pro%20duction/a%2Fb%3Fc?reason=400+%26+more");
  expect(routeOf(href)).toEqual({ view: "deadLetters", params, query: { reason: "400 & more" } });
});

test("the overview is the root, and a slash at the end does not matter", () => {
  expect(routeOf("/").view).toBe("overview");
  expect(routeOf("/tail/").view).toBe("tail");
  expect(routeOf("/e/production/17")).toEqual({
    view: "event",
    params: { environment: "production", position: "17" },
    query: {},
  });
});

test("a path that no view has is unknown, and one that is not encoded is taken as it is", () => {
  expect(routeOf("/nope").view).toBe("unknown");
  expect(routeOf("/d/only-one").view).toBe("unknown");
  expect(routeOf("/d/100%/x").params["environment"]).toBe("100%");
});

test("a filter is changed without losing the others, and removed by nothing", () => {
  const route = routeOf("/tail?environment=production&user=u1");
  expect(withQuery(route, { user: "", name: "Order Completed" })).toBe(
    "/tail?environment=production&name=Order+Completed",
  );
});
