/**
 * Letter's own client: a contact, its account, something it did. Argument: the URL of the vendor.
 */
import { LetterClient } from "waybill/letter";

const [baseUrl = "https://api.letter.app"] = process.argv.slice(2);
const letter = new LetterClient({ apiKey: "lt_live_1", baseUrl, onError: (error) => console.warn(error.message) });
letter.identify({ userId: "u-7", email: "ada@example.test", traits: { plan: "pro" }, timezone: "Europe/Rome" });
letter.group({ userId: "u-7", accountId: "acct-2", name: "Analytical Engines" });
letter.track({ userId: "u-7", event: "Report Exported", properties: { rows: 12 } });
await letter.close();
console.log("sent");
