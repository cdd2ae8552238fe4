/**
 * A table that a device contributes to ACPI. The board adds the 36-byte header (ACPI specification 6.5, 5.2.6) with
 * length and checksum, and names the table in RSDT and XSDT.
 */
export interface AcpiTableSource {
  /** Four characters, such as "DMAR" */
  readonly signature: string;
  readonly revision: number;
  /** What follows the header */
  body(): Uint8Array;
  /** AML objects of the device for the scope \_SB of the DSDT; absent: none */
  aml?(): Uint8Array;
}
