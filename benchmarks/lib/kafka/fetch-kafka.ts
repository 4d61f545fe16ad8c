/** Finds Java and Kafka's jars, or fetches the jars with Maven into this repository's caches. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** 4.4.0 lacks an artifact in the registry. */
const KAFKA_VERSION = "4.3.1";
const MEGABYTES = 58;
const JAVA_MIN = 17;
/** A mirror that does not answer must not hold tests up. */
const FETCH_MAX_MS = 300_000;
const VERSION_MAX_MS = 20_000;
const PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/** Without slf4j-simple a broker logs nothing, so that nobody would know when it is ready. */
const pomOf = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>waybill</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;

const execute = promisify(execFile);

/** The folder of the jars. */
export type Kafka = { readonly jars: string } | { readonly missing: string };

/**
 * `tell` gets a line before anything is fetched. `WAYBILL_KAFKA` names the folder of the jars (a
 * distribution's `libs`) where they are not to be fetched; not those of another version.
 */
export async function findKafka(tell: (line: string) => void, version: string = KAFKA_VERSION): Promise<Kafka> {
  const java = await javaMissing();
  if (java !== undefined) return { missing: java };
  const named = process.env["WAYBILL_KAFKA"];
  if (named !== undefined && version === KAFKA_VERSION)
    return hasJars(named) ? { jars: named } : { missing: `WAYBILL_KAFKA names ${named}, which has no jars of Kafka` };
  const jars = join(cacheFolder(), version);
  if (hasJars(jars)) return { jars };
  if (process.env["WAYBILL_NO_INSTALL"] !== undefined)
    return { missing: `Kafka ${version} is not there, and WAYBILL_NO_INSTALL forbids to fetch it` };
  const failure = await fetchJars(version, jars, tell);
  return failure === undefined ? { jars } : { missing: failure };
}

function hasJars(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => /^kafka_2\.13-.*\.jar$/.test(name));
}

async function javaMissing(): Promise<string | undefined> {
  try {
    const { stderr } = await execute("java", ["-version"], { timeout: VERSION_MAX_MS });
    const version = Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0);
    return version >= JAVA_MIN ? undefined : `Kafka needs Java ${JAVA_MIN}, and java is version ${version}`;
  } catch {
    return `Kafka needs Java ${JAVA_MIN}, and there is no java`;
  }
}

/** Why it failed, if it did. */
async function fetchJars(version: string, jars: string, tell: (line: string) => void): Promise<string | undefined> {
  try {
    await execute("mvn", ["-version"], { timeout: VERSION_MAX_MS });
  } catch {
    return `Kafka ${version} is not there, and there is no mvn to fetch it`;
  }
  tell(
    `mvn fetches Kafka ${version} and what it needs, ${MEGABYTES} MB, into ~/.m2 and node_modules/.cache. ` +
      "Once: nothing is fetched when it is there.",
  );
  mkdirSync(dirname(jars), { recursive: true });
  const folder = mkdtempSync(`${jars}-`);
  try {
    writeFileSync(join(folder, "pom.xml"), pomOf(version));
    const target = [`-DincludeScope=runtime`, `-DoutputDirectory=${join(folder, "jars")}`];
    await execute("mvn", ["-B", "-q", "-ntp", PLUGIN, ...target], { cwd: folder, timeout: FETCH_MAX_MS });
    // Another process may have been first.
    if (!hasJars(jars)) renameSync(join(folder, "jars"), jars);
    return undefined;
  } catch (error) {
    const { stdout = "", message } = error as Error & { readonly stdout?: string };
    const [line = message] = stdout.split("\n").filter((text) => text.includes("ERROR"));
    return hasJars(jars) ? undefined : `Kafka ${version} could not be fetched: ${line}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of the repository: this file runs from its source and as it is built. */
function cacheFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder))
    if (existsSync(join(folder, "package-lock.json"))) return join(folder, "node_modules/.cache/waybill-kafka");
}
