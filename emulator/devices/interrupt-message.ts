/**
 * An interrupt on its way to the local APICs in the form of a message-signalled interrupt: a 32-bit write to
 * 0xFEExxxxx (SDM vol. 3, "Message Signalled Interrupts"; the I/O APIC sends the same). With interrupt remapping the
 * IOMMU stands between the source and the APIC bus.
 */
export interface InterruptMessageSink {
  /** @param source PCI requester ID (bus << 8 | device << 3 | function) of the sender; the I/O APIC has one too */
  send(source: number, address: bigint, data: number): void;
}
