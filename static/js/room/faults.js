// @ts-check
/** What to say when the room could not do something: a sentence per code, in the page's language. */

import { _ } from "../words.js";

/** @param {import("./protocol.js").Fault} fault */
export function faultWords(fault) {
  switch (fault.code) {
    case "room.full": return _("The room is full. Somebody must leave before another person can come in.");
    case "lobby.full": return _("The waiting room is full. Please try again in a few minutes.");
    case "version.unsupported": return _("This page is older than the server. Please reload it; your seat is kept.");
    case "member.unknown": return _("This person has gone in the meantime.");
    case "grant.missing": return _("Your role in this call does not include that.");
    case "message.too_many": return _("That was very much at once. Please wait a moment.");
    case "message.too_large": return _("That message is too long. Please shorten it and send it again.");
    case "line.lost": return _("You are offline for a moment, so nothing happened. Please press again when you are back.");
    case "line.kept": return _("You are offline for a moment. Your choice is kept and sent as soon as you are back.");
    case "screen.taken": return _("Somebody else shows their screen at the moment. One screen can be shown at a time.");
    case "screen.failed": return _("Your browser or computer did not give out the screen. Allow it in the settings of your computer, then try again.");
    case "offer.refused":
    case "offer.too_large": return _("Sound and picture could not be started. We keep trying; chat and records work.");
    default: return _("Something went wrong on our side. Your seat is kept. Reference {reference}.", { reference: fault.reference });
  }
}
