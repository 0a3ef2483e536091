// @ts-check
/**
 * The few soft tones: trying the loudspeaker, being let in, somebody knocking. Owns the page's one AudioContext.
 * Tones are made here rather than loaded, so that they sound at once and also when the network is weak.
 */

/** @type {AudioContext | null} */
let context = null;

/**
 * The page's one AudioContext. Browsers keep it silent until the person has pressed something or shares a microphone.
 * @returns {AudioContext}
 */
export function audioContext() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  if (context.state === "suspended") wake(context);
  return context;
}

/** Asks at once, and again with the next press, which no browser refuses. @param {AudioContext} audio */
function wake(audio) {
  const ask = () => void audio.resume().catch(() => undefined);
  ask();
  for (const press of ["pointerdown", "keydown"]) document.addEventListener(press, ask, { once: true, capture: true });
}

/**
 * Sounds: pairs of pitch in Hz and start in seconds. Sine with soft edges; never alarming.
 * @type {Record<"test" | "admitted" | "knock", [number, number][]>}
 */
const TONES = {
  test: [[523.25, 0], [659.25, 0.22], [783.99, 0.44], [1046.5, 0.66]],
  admitted: [[587.33, 0], [880, 0.28]],
  knock: [[392, 0], [392, 0.24]],
};
const TONE_S = 0.55;
const LOUDNESS = 0.22;

/**
 * Play a sound through the chosen loudspeaker; settles when it has ended.
 * @param {"test" | "admitted" | "knock"} name
 * @param {string} [speakerId] empty for the browser's own choice
 * @returns {Promise<boolean>} false if the browser kept the page silent
 */
export async function play(name, speakerId = "") {
  const audio = audioContext();
  await chooseSpeaker(audio, speakerId);
  if (audio.state !== "running") await Promise.race([audio.resume().catch(() => undefined), pause(500)]);
  if (/** @type {string} */ (audio.state) !== "running") return false;
  const begin = audio.currentTime + 0.03;
  let last = 0;
  for (const [pitchHz, startS] of TONES[name]) {
    tone(audio, pitchHz, begin + startS);
    last = Math.max(last, startS);
  }
  await pause((last + TONE_S) * 1000);
  return true;
}

/** @param {AudioContext} audio @param {number} pitchHz @param {number} atS */
function tone(audio, pitchHz, atS) {
  const source = new OscillatorNode(audio, { frequency: pitchHz });
  const gain = new GainNode(audio, { gain: 0 });
  gain.gain.setValueAtTime(0, atS);
  gain.gain.linearRampToValueAtTime(LOUDNESS, atS + 0.03);
  gain.gain.exponentialRampToValueAtTime(0.0005, atS + TONE_S);
  source.connect(gain).connect(audio.destination);
  source.start(atS);
  source.stop(atS + TONE_S);
}

/** @param {AudioContext} audio @param {string} speakerId */
async function chooseSpeaker(audio, speakerId) {
  const able = /** @type {AudioContext & {setSinkId?: (id: string) => Promise<void>}} */ (audio);
  if (!able.setSinkId || !speakerId) return;
  // A loudspeaker that has gone: the sound comes out of the usual one.
  await able.setSinkId(speakerId).catch(() => undefined);
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
