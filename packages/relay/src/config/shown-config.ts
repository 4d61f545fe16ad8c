/** The configuration in force as it may be shown: every value, no secret, nothing of a file. */
import { SECRET, settingsOf, sourceSettingsOf } from "./shown-settings.ts";
import type { DestinationConfig, RelayConfig, SourceConfig } from "./types.ts";

type Shown = Readonly<Record<string, unknown>>;

export function shownConfig(config: RelayConfig): Shown {
  const { hidden = [] } = config;
  const shown = allOf(config);
  return hidden.length === 0 ? shown : (withoutValues(shown, hidden) as Shown);
}

/** A shorter one is hidden only where it is the whole text: it occurs in others by chance. */
const PART_MIN_CHARACTERS = 4;

function withoutValues(shown: unknown, hidden: readonly string[]): unknown {
  if (Array.isArray(shown)) return shown.map((one: unknown) => withoutValues(one, hidden));
  if (typeof shown === "object" && shown !== null)
    return Object.fromEntries(Object.entries(shown).map(([name, one]) => [name, withoutValues(one, hidden)]));
  const text = String(shown);
  if (hidden.includes(text)) return SECRET;
  return typeof shown === "string" &&
    hidden.some((value) => value.length >= PART_MIN_CHARACTERS && text.includes(value))
    ? SECRET
    : shown;
}

function allOf(config: RelayConfig): Shown {
  const { listen, admin, environments, warnings: _warnings, hidden: _hidden, permissions, kafka, ...rest } = config;
  const octal = (mode: number): string => `0${mode.toString(8)}`;
  return {
    listen: `${listen.host}:${listen.port}`,
    admin: {
      listen: `${admin.host}:${admin.port}`,
      ...(admin.token === undefined ? {} : { token: SECRET }),
      ...(admin.readOnlyToken === undefined ? {} : { readOnlyToken: SECRET }),
      ...(admin.hosts === undefined ? {} : { hosts: admin.hosts }),
    },
    ...rest,
    ...(kafka === undefined ? {} : { kafka: shownKafka(kafka) }),
    permissions: { files: octal(permissions.fileMode), directories: octal(permissions.directoryMode) },
    environments: byName(environments, ({ sources, destinations }) => ({
      sources: byName(sources, shownSource),
      destinations: byName(destinations, shownDestination),
    })),
  };
}

function shownKafka({ sasl, sealingKey, ...kafka }: NonNullable<RelayConfig["kafka"]>): Shown {
  return {
    ...kafka,
    ...(sealingKey === undefined ? {} : { sealingKey: SECRET }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl, password: SECRET } }),
  };
}

function shownSource(source: SourceConfig): Shown {
  return { protocol: source.protocol, keys: source.keys.length, ...sourceSettingsOf(source) };
}

function shownDestination(destination: DestinationConfig): Shown {
  const { vendor, sources } = destination;
  return { vendor, ...(sources === undefined ? {} : { sources }), ...settingsOf(destination) };
}

function byName<T extends { readonly name: string }>(all: readonly T[], show: (one: T) => Shown): Shown {
  return Object.fromEntries(all.map((one) => [one.name, show(one)]));
}
