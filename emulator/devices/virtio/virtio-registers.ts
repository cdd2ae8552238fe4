// "Virtual I/O Device (VIRTIO) Version 1.2", 2.1, 4.1, 6; the legacy interface as in 4.1.4.8.

export const DeviceStatus = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 64,
  FAILED: 128,
} as const;

/** Feature bits of every device */
export const Feature = {
  ANY_LAYOUT: 1n << 27n,
  INDIRECT: 1n << 28n,
  EVENT_INDEX: 1n << 29n,
  VERSION_1: 1n << 32n,
  ACCESS_PLATFORM: 1n << 33n,
} as const;

/** Structures that capabilities point to (4.1.4) */
export const Structure = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, PCI_CONFIGURATION: 5 } as const;

/** Where they lie in their BAR */
export const Place = { COMMON: 0, ISR: 0x1000, DEVICE: 0x2000, NOTIFY: 0x3000, END: 0x4000 } as const;

/** Common configuration structure (4.1.4.3) */
export const Common = {
  DEVICE_FEATURE_SELECT: 0x00,
  DEVICE_FEATURE: 0x04,
  DRIVER_FEATURE_SELECT: 0x08,
  DRIVER_FEATURE: 0x0c,
  CONFIG_VECTOR: 0x10,
  QUEUES: 0x12,
  STATUS: 0x14,
  GENERATION: 0x15,
  QUEUE_SELECT: 0x16,
  QUEUE_SIZE: 0x18,
  QUEUE_VECTOR: 0x1a,
  QUEUE_ENABLE: 0x1c,
  QUEUE_NOTIFY_OFFSET: 0x1e,
  QUEUE_DESCRIPTORS: 0x20,
  QUEUE_DRIVER: 0x28,
  QUEUE_DEVICE: 0x30,
  END: 0x38,
} as const;

/** Legacy ports */
export const Legacy = {
  DEVICE_FEATURES: 0,
  DRIVER_FEATURES: 4,
  QUEUE_PAGE: 8,
  QUEUE_SIZE: 12,
  QUEUE_SELECT: 14,
  QUEUE_NOTIFY: 16,
  STATUS: 18,
  ISR: 19,
  /** Only while MSI-X is on; the device's configuration follows */
  CONFIG_VECTOR: 20,
  QUEUE_VECTOR: 22,
  DEVICE: 20,
  DEVICE_WITH_VECTORS: 24,
} as const;

export const NO_VECTOR = 0xffff;
/** Bytes between the notification registers of two queues */
export const NOTIFY_MULTIPLIER = 4;
