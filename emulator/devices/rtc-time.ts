/**
 * The time registers of the MC146818 as bytes: binary or BCD, 24 or 12 hours with bit 7 for the afternoon. Days are
 * those of the Gregorian calendar; the week begins on Sunday = 1.
 */
export interface RtcFormat {
  readonly binary: boolean;
  readonly hours24: boolean;
}

const AFTERNOON = 0x80;
const DAY = 86400;

export const encode = (value: number, { binary }: RtcFormat): number =>
  binary ? value : (Math.floor(value / 10) << 4) | (value % 10);
export const decode = (byte: number, { binary }: RtcFormat): number => (binary ? byte : (byte >> 4) * 10 + (byte & 15));

export function encodeHour(hour: number, format: RtcFormat): number {
  if (format.hours24) return encode(hour, format);
  return encode(hour % 12 === 0 ? 12 : hour % 12, format) | (hour >= 12 ? AFTERNOON : 0);
}

export function decodeHour(byte: number, format: RtcFormat): number {
  if (format.hours24) return decode(byte, format);
  return (decode(byte & ~AFTERNOON, format) % 12) + (byte & AFTERNOON ? 12 : 0);
}

/** A moment in its parts; the year has four digits. */
export interface RtcTime {
  readonly second: number;
  readonly minute: number;
  readonly hour: number;
  readonly weekday: number;
  readonly day: number;
  readonly month: number;
  readonly year: number;
}

/** @param seconds since 1970 */
export function timeOf(seconds: number): RtcTime {
  const date = new Date(seconds * 1000);
  return {
    second: date.getUTCSeconds(),
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    weekday: date.getUTCDay() + 1,
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    year: date.getUTCFullYear(),
  };
}

/** Seconds since 1970. A date that does not exist becomes the one that it overflows to. */
export const secondsOf = ({ second, minute, hour, day, month, year }: RtcTime): number =>
  Date.UTC(year, month - 1, day, hour, minute, second) / 1000;

/** Parts of an alarm; undefined: every hour, minute, second */
export interface RtcAlarm {
  readonly hour: number | undefined;
  readonly minute: number | undefined;
  readonly second: number | undefined;
}

/** The first second after `after` that an alarm names, or Infinity when it names none (hour 25). */
export function nextAlarm({ hour, minute, second }: RtcAlarm, after: number): number {
  for (let at = after + 1; at <= after + 2 * DAY;) {
    const inDay = ((at % DAY) + DAY) % DAY;
    if (hour !== undefined && Math.floor(inDay / 3600) !== hour) at += 3600 - (inDay % 3600);
    else if (minute !== undefined && Math.floor(inDay / 60) % 60 !== minute) at += 60 - (inDay % 60);
    else if (second !== undefined && inDay % 60 !== second) at++;
    else return at;
  }
  return Infinity;
}
