/**
 * Trophy's own client: a change of a metric, and the state that comes back. Argument: the URL of
 * the vendor.
 */
import { TrophyClient, UnprocessableEntityError } from "waybill/trophy";

const [baseUrl = "https://api.trophy.so/v1"] = process.argv.slice(2);
const trophy = new TrophyClient({ apiKey: "key.secret", baseUrl });
const { total, currentStreak } = await trophy.metrics.event({
  key: "words-written",
  user: { id: "u-7", tz: "Europe/Rome" },
  value: 250,
  idempotencyKey: "chapter-3",
});
console.log(total, currentStreak.length);
try {
  await trophy.metrics.event({ key: "words-written", user: { id: "u-7" }, value: 1, attributes: { unknown: "x" } });
} catch (error) {
  if (error instanceof UnprocessableEntityError) console.log(error.message);
  else throw error;
}
console.log((await trophy.users.get({ id: "u-7" })).tz);
