import assert from 'node:assert';
import { secretDigest } from './secret';

/** What the sample's serial output must say, on whatever machine it runs. */

export function checkEnd(serial: string): void {
  assert.match(serial, /machine ends with status 0/);
}

/** Without the monitor the VMM reads and changes the secret. */
export function checkAlone(serial: string): void {
  checkEnd(serial);
  assert.match(serial, /adversary: page [0-9a-f]+ of the guest reads "SECRET of the guest/);
  assert.match(serial, /write to page [0-9a-f]+ of the guest succeeded/);
  assert.match(serial, /\[guest\] secret damaged/);
  assert.match(serial, /after its end, page [0-9a-f]+ of the guest reads "SECRET/);
  assert.doesNotMatch(serial, /monitor/);
}

/** With the monitor it sees ciphertext, its write is refused, and the guest proves its secret. */
export function checkMonitored(serial: string): void {
  checkEnd(serial);
  assert.doesNotMatch(serial, /reads "SECRET/);
  assert.match(serial, /adversary: interrupted guest has RIP 0, RSP 0, RAX 0, RBX 0/);
  assert.match(serial, /write to page [0-9a-f]+ of the guest was refused by the machine/);
  assert.match(serial, /the changed page was not accepted/);
  assert.match(serial, /\[monitor\] vm 1: entry refused, the VMM changed field 681a\n\[vmm\] VM entry refused/);
  assert.match(serial, /after its end, page [0-9a-f]+ of the guest reads "\.{32}"/);
  const proof = /\[guest\] secret intact: ([0-9a-f]+)/.exec(serial);
  assert.strictEqual(proof?.[1], secretDigest().toString(16));
}

/** Without the monitor the disk copies the guest's page out. */
export function checkAloneWithDisk(serial: string): void {
  checkAlone(serial);
  assert.match(serial, /adversary: the disk's copy of page [0-9a-f]+ of the guest reads "SECRET of the guest/);
}

/** With the monitor the IOMMU blocks that, while the pager's own transfers pass. */
export function checkMonitoredWithDisk(serial: string): void {
  checkMonitored(serial);
  assert.match(serial, /IOMMU at fed90000: devices reach the VMM's pages only/);
  assert.match(serial, /swap: page [0-9a-f]+ of the guest is on the device/);
  assert.match(serial, /the disk cannot reach page [0-9a-f]+ of the guest/);
  assert.deepStrictEqual(serial.match(/a device \w+ it \(requester 9/g), ['a device reads it (requester 9']);
}

/** The disk of a hostile VMM reaches neither the guest, nor the monitor, nor a VMCS, nor the VMM the IOMMU. */
export function checkAttacksWithDisk(serial: string): void {
  checkAttacks(serial);
  const defeated = serial.match(/attack: (disk (reads|writes to) .*|registers of the IOMMU): defeated/g) ?? [];
  assert.strictEqual(defeated.length, 7, serial);
  assert.strictEqual(serial.match(/a device (reads|writes) it \(requester 9/g)?.length, 6);
}

/** Every attack of a hostile VMM is defeated. */
export function checkAttacks(serial: string): void {
  checkEnd(serial);
  const attacks = serial.match(/attack: .*/g) ?? [];
  const kinds = [
    "monitor's memory",
    "guest's VMCS",
    'changed RIP',
    'MSR list',
    'second VCPU',
    'wrong execution mode',
    'two addresses',
    'another guest',
    'page of the monitor',
    'old version',
    'guest that has ended',
  ];
  for (const kind of kinds) {
    assert.ok(
      attacks.some((line) => line.includes(kind)),
      `no attack by ${kind} was run`,
    );
  }
  assert.deepStrictEqual(
    attacks.filter((line) => !line.endsWith(': defeated')),
    [],
  );
  assert.match(serial, /\[guest\] secret intact/);
}
