/** Routes that show the configuration, and check another one. */
import { config, configCheck } from "../schemas/config.ts";
import { configCheckRequest } from "../schemas/requests.ts";
import { json, type RouteDefinition, refused } from "./route.ts";

/** A file has 1 MiB at most; as a JSON text it is longer. */
const CHECK_MAX_BYTES = 2 * 1024 * 1024;

export const configRoutes = {
  showConfig: {
    method: "GET",
    path: "/v1/config",
    summary: "Shows the configuration in force without secrets, and how the last reload went.",
    answers: { 200: json("As of now.", config) },
  },
  checkConfig: {
    method: "POST",
    path: "/v1/config/check",
    summary: "Checks a configuration, or the file on disk, and tells what it would change. Applies nothing.",
    body: configCheckRequest,
    bodyMaxBytes: CHECK_MAX_BYTES,
    answers: {
      200: json("What is wrong, or what would change.", configCheck),
      409: refused("The relay was started without a configuration that can be read again.", "no_config_file"),
      503: refused("There are too many checks already.", "too_many_streams"),
    },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
