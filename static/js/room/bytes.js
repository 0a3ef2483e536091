// @ts-check
/** How much came and went over a connection, from its statistics: browsers count in different places. */

/**
 * Firefox counts with the pair of candidates alone; null where a browser does not count at all.
 * @param {RTCStatsReport} report @returns {{sent: number, received: number}|null}
 */
export function countBytes(report) {
  const all = [...report.values()];
  const counting = (/** @type {string} */ type) => all.filter((one) => one.type === type && one.bytesReceived !== undefined);
  const transports = counting("transport");
  const found = transports.length ? transports : counting("candidate-pair");
  if (!found.length) return null;
  const total = (/** @type {"bytesSent"|"bytesReceived"} */ name) => found.reduce((sum, one) => sum + (one[name] ?? 0), 0);
  return { sent: total("bytesSent"), received: total("bytesReceived") };
}
