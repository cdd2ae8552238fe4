import { AtaError } from './ata-registers';
import { MULTIPLE_MOST, type AtaDrive } from './ata-drive';
import type { IdeChannel } from './ide-channel';

interface AtaCommand {
  readonly code: number;
  /** Last code of a range of the same meaning */
  readonly last?: number;
  readonly name: string;
  readonly start: (channel: IdeChannel, drive: AtaDrive) => void;
}

const read = (extended: boolean) => (channel: IdeChannel) => channel.startPio(true, extended, 1);
const write = (extended: boolean) => (channel: IdeChannel, drive: AtaDrive) => {
  if (drive.volume.readOnly) channel.fail(AtaError.WP | AtaError.ABRT);
  else channel.startPio(false, extended, 1);
};
const multiple = (toHost: boolean, extended: boolean) => (channel: IdeChannel, drive: AtaDrive) => {
  if (drive.multiple === 0) channel.fail(AtaError.ABRT);
  else if (!toHost && drive.volume.readOnly) channel.fail(AtaError.WP | AtaError.ABRT);
  else channel.startPio(toHost, extended, drive.multiple);
};
const dma = (toHost: boolean, extended: boolean) => (channel: IdeChannel, drive: AtaDrive) => {
  if (!toHost && drive.volume.readOnly) channel.fail(AtaError.WP | AtaError.ABRT);
  else channel.startDma(toHost, extended);
};
const verify = (extended: boolean) => (channel: IdeChannel) => channel.verify(extended, channel.sectorCount(extended));
const done = (channel: IdeChannel) => channel.done();

function setFeatures(channel: IdeChannel, drive: AtaDrive): void {
  const { file } = channel;
  switch (file.features) {
    case 0x02:
    case 0x82:
      drive.writeCache = file.features === 0x02;
      channel.done();
      return;
    case 0x55:
    case 0xaa:
      drive.readAhead = file.features === 0xaa;
      channel.done();
      return;
    case 0x03:
      if (drive.setTransferMode(file.count)) channel.done();
      else channel.fail(AtaError.ABRT);
      return;
    // Keep, or give up, settings over a software reset: accepted, a reset always gives them up.
    case 0x66:
    case 0xcc:
      channel.done();
      return;
    default:
      channel.fail(AtaError.ABRT);
  }
}

function setMultiple(channel: IdeChannel, drive: AtaDrive): void {
  const { count } = channel.file;
  // A power of two up to the most; zero switches the commands off.
  if (count > MULTIPLE_MOST || (count & (count - 1)) !== 0) {
    channel.fail(AtaError.ABRT);
    return;
  }
  drive.multiple = count;
  channel.done();
}

function initializeParameters(channel: IdeChannel, drive: AtaDrive): void {
  const { count, device } = channel.file;
  if (count === 0 || count > 63) {
    channel.fail(AtaError.ABRT);
    return;
  }
  drive.sectorsPerTrack = count;
  drive.heads = (device & 15) + 1;
  channel.done();
}

function checkPowerMode(channel: IdeChannel): void {
  channel.file.count = 0xff; // active or idle
  channel.done();
}

function flush(channel: IdeChannel, drive: AtaDrive): void {
  if (drive.volume.flush()) channel.done();
  else channel.fail(AtaError.ABRT);
}

/**
 * The commands of the general feature set for devices without packets (ATA-6, 8), and the obsolete ones that old
 * drivers send. A code that is not here is aborted, as the standard asks: NOP, DEVICE RESET, PACKET, IDENTIFY PACKET
 * DEVICE, queued commands, security, SMART, host protected area.
 */
const COMMANDS: readonly AtaCommand[] = [
  { code: 0x10, last: 0x1f, name: 'RECALIBRATE', start: done },
  { code: 0x20, last: 0x21, name: 'READ SECTORS', start: read(false) },
  { code: 0x24, name: 'READ SECTORS EXT', start: read(true) },
  { code: 0x25, name: 'READ DMA EXT', start: dma(true, true) },
  { code: 0x29, name: 'READ MULTIPLE EXT', start: multiple(true, true) },
  { code: 0x30, last: 0x31, name: 'WRITE SECTORS', start: write(false) },
  { code: 0x34, name: 'WRITE SECTORS EXT', start: write(true) },
  { code: 0x35, name: 'WRITE DMA EXT', start: dma(false, true) },
  { code: 0x39, name: 'WRITE MULTIPLE EXT', start: multiple(false, true) },
  { code: 0x40, last: 0x41, name: 'READ VERIFY SECTORS', start: verify(false) },
  { code: 0x42, name: 'READ VERIFY SECTORS EXT', start: verify(true) },
  { code: 0x70, name: 'SEEK', start: (channel) => channel.verify(false, 1) },
  { code: 0x91, name: 'INITIALIZE DEVICE PARAMETERS', start: initializeParameters },
  { code: 0xc4, name: 'READ MULTIPLE', start: multiple(true, false) },
  { code: 0xc5, name: 'WRITE MULTIPLE', start: multiple(false, false) },
  { code: 0xc6, name: 'SET MULTIPLE MODE', start: setMultiple },
  { code: 0xc8, last: 0xc9, name: 'READ DMA', start: dma(true, false) },
  { code: 0xca, last: 0xcb, name: 'WRITE DMA', start: dma(false, false) },
  { code: 0xe0, last: 0xe3, name: 'STANDBY, IDLE', start: done },
  { code: 0xe5, name: 'CHECK POWER MODE', start: checkPowerMode },
  { code: 0xe6, name: 'SLEEP', start: done },
  { code: 0xe7, name: 'FLUSH CACHE', start: flush },
  { code: 0xea, name: 'FLUSH CACHE EXT', start: flush },
  { code: 0xec, name: 'IDENTIFY DEVICE', start: (channel, drive) => channel.give(drive.identify()) },
  { code: 0xef, name: 'SET FEATURES', start: setFeatures },
];

const byCode = new Map<number, AtaCommand>();
for (const command of COMMANDS) {
  for (let code = command.code; code <= (command.last ?? command.code); code++) byCode.set(code, command);
}

export const findCommand = (code: number): AtaCommand | undefined => byCode.get(code);
