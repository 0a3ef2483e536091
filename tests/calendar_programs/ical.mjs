// Reads calendars as Thunderbird does: by ical.js, with the zones that the calendar itself describes.
// Standard input: a JSON list of calendars. Standard output: for each its method and its entries.

import ICAL from "ical.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const calendars = JSON.parse(Buffer.concat(chunks).toString());
const read = calendars.map((text) => {
  const calendar = new ICAL.Component(ICAL.parse(text));
  return {
    method: calendar.getFirstPropertyValue("method"),
    entries: calendar.getAllSubcomponents("vevent").map((part) => {
      const entry = new ICAL.Event(part);
      const attendee = part.getFirstProperty("attendee");
      return {
        uid: entry.uid,
        sequence: entry.sequence,
        title: entry.summary,
        text: entry.description,
        place: entry.location,
        status: part.getFirstPropertyValue("status"),
        starts_s: entry.startDate.toUnixTime(),
        ends_s: entry.endDate.toUnixTime(),
        local: entry.startDate.toString(),
        zone: entry.startDate.zone.tzid,
        zone_is_described: Boolean(entry.startDate.zone.component),
        attendee: attendee ? attendee.getFirstValue() : null,
      };
    }),
  };
});
process.stdout.write(JSON.stringify(read));
