// A person at Element's own stack, in strict mode: signs in, listens to the helper, asks it for help.
//
//     node helper_chat.mjs HOMESERVER USER PASSWORD HELPER
//
// Prints one JSON object with what the client saw; what to think of it is left to the test.

import { once } from "node:events";
import { readFile } from "node:fs/promises";

Promise.withResolvers ??= () => { // the SDK wants Node 22 for this alone
    const made = {};
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    return made;
};
console.log = console.info = console.debug = console.error; // the SDK's log; standard output is for the answer

const { ClientEvent, createClient, MatrixEventEvent } = await import("matrix-js-sdk");
const { DecryptionFailureCode, OnlySignedDevicesIsolationMode } = await import("matrix-js-sdk/lib/crypto-api/index.js");

const PATIENCE_MS = 30_000;
const MAY_PASS = [DecryptionFailureCode.MEGOLM_UNKNOWN_INBOUND_SESSION_ID, DecryptionFailureCode.UNKNOWN_SENDER_DEVICE];
const [baseUrl, user, password, helper] = process.argv.slice(2);

const keysSent = []; // types of the to-device messages to the helper: a key comes encrypted, its refusal in clear

async function watched(url, options) {
    const kind = String(url).match(/\/sendToDevice\/([^/]+)\//)?.[1];
    const helped = kind && helper in JSON.parse(options.body).messages;
    const answer = await fetch(url, options);
    if (helped && answer.ok) keysSent.push(kind);
    return answer;
}

async function signedIn() {
    const identifier = { type: "m.id.user", user };
    const session = await createClient({ baseUrl }).loginRequest({ type: "m.login.password", identifier, password });
    const { user_id: userId, device_id: deviceId, access_token: accessToken } = session;
    const client = createClient({ baseUrl, userId, deviceId, accessToken, fetchFn: watched });
    await client.initRustCrypto({ useIndexedDB: false });
    client.getCrypto().setDeviceIsolationMode(new OnlySignedDevicesIsolationMode());
    return client;
}

// Resolves to the helper's encrypted event with these words in it, or to one that cannot be decrypted for good.
function listenTo(client) {
    const events = new Set();
    client.on(MatrixEventEvent.Decrypted, (event) => event.getSender() === helper && events.add(event));
    return async (words) => {
        const wanted = (event) => event.isDecryptionFailure()
            ? !MAY_PASS.includes(event.decryptionFailureReason)
            : event.getContent().body.includes(words);
        const signal = AbortSignal.timeout(PATIENCE_MS);
        for (;;) {
            const found = [...events].find(wanted);
            if (found || signal.aborted) return found;
            await once(client, MatrixEventEvent.Decrypted, { signal }).catch(() => {});
        }
    };
}

async function shown(crypto, event) {
    if (!event) return null;
    const failure = event.decryptionFailureReason;
    const shield = (await crypto.getEncryptionInfoForEvent(event))?.shieldReason ?? null;
    return { text: failure ? null : event.getContent().body, failure, shield };
}

async function devicesOf(crypto, owner) {
    const devices = (await crypto.getUserDeviceInfo([owner], true)).get(owner) ?? new Map();
    const status = async (id) => [id, (await crypto.getDeviceVerificationStatus(owner, id))?.signedByOwner ?? null];
    return Object.fromEntries(await Promise.all([...devices.keys()].map(status)));
}

const client = await signedIn();
const crypto = client.getCrypto();
const hear = listenTo(client);
const prepared = once(client, ClientEvent.Sync);
await client.startClient();
await prepared;
await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (upload) => upload(null) });

const greeting = await hear("I am the helper of this hub");
const rooms = client.getRooms().map((room) => ({ id: room.roomId, membership: room.getMyMembership() }));
await client.sendTextMessage(rooms[0].id, "!help");
const answer = greeting?.isDecryptionFailure() ? null : await hear("I answer these:");

const manifest = new URL("node_modules/matrix-js-sdk/package.json", import.meta.url);
const seen = {
    sdk: JSON.parse(await readFile(manifest)).version,
    crypto: crypto.getVersion(),
    rooms,
    greeting: await shown(crypto, greeting),
    answer: await shown(crypto, answer),
    keysSent,
    helperHasCrossSigningKeys: await crypto.userHasCrossSigningKeys(helper, true),
    helperDevices: await devicesOf(crypto, helper),
    ownDeviceIsSigned: (await devicesOf(crypto, client.getUserId()))[client.getDeviceId()],
};
client.stopClient();
process.stdout.write(JSON.stringify(seen) + "\n", () => process.exit(0));
