// A Discord client that is not ours, for the tests of the emulator: discord.js and @discordjs/voice as npm has them.
//
// Arguments: the folder of its node_modules, and JSON with apiBase, token, guild and channel. It joins, and from then on
// tells what it hears, a line of JSON for each packet of Opus; {"say": [packets]} on standard input is spoken, and its
// end is when it leaves. Packets are base64.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

const [home, order] = process.argv.slice(2);
const { apiBase, token, guild, channel } = JSON.parse(order);
const require = createRequire(`${home}/package.json`);
const { Client, GatewayIntentBits } = require("discord.js");
const voice = require("@discordjs/voice");

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildVoiceStates],
  rest: { api: apiBase.replace(/\/v\d+$/, "") },
});

async function join() {
  const connection = voice.joinVoiceChannel({
    channelId: channel,
    guildId: guild,
    adapterCreator: client.guilds.cache.get(guild).voiceAdapterCreator,
    selfDeaf: false,
  });
  connection.on("error", (error) => tell({ event: "error", text: String(error) }));
  connection.receiver.speaking.on("start", (user) => {
    if (connection.receiver.subscriptions.has(user)) return;
    const stream = connection.receiver.subscribe(user, { end: { behavior: voice.EndBehaviorType.Manual } });
    stream.on("data", (packet) => tell({ event: "heard", user, opus: packet.toString("base64") }));
    stream.on("error", (error) => tell({ event: "error", text: String(error) }));
  });
  await voice.entersState(connection, voice.VoiceConnectionStatus.Ready, 20_000);
  tell({ event: "joined", versions: { node: process.version, voice: voice.version } });
  const player = voice.createAudioPlayer();
  connection.subscribe(player);
  for await (const line of createInterface({ input: process.stdin })) {
    const packets = JSON.parse(line).say.map((packet) => Buffer.from(packet, "base64"));
    player.play(voice.createAudioResource(Readable.from(packets), { inputType: voice.StreamType.Opus }));
    await voice.entersState(player, voice.AudioPlayerStatus.Playing, 5_000);
    await voice.entersState(player, voice.AudioPlayerStatus.Idle, 60_000);
    tell({ event: "said", code: connection.voicePrivacyCode });
  }
  connection.destroy();
  await client.destroy();
}

client.once("clientReady", () => join().catch((error) => tell({ event: "error", text: String(error) })));
await client.login(token);
