// Builds the samples: node scripts/samples.mjs [sample folder ...]. Each folder under samples/ with an images.json is
// one sample; images.json maps an image name to { sources: [folders], linkerScript, flags: [more C flags] }, or, for a
// disk, to { sectors }. Result: <sample>/build/<image>.elf or .img.
// The same sources and the same compiler give the same bytes in any directory.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ASSEMBLY_FLAGS, C_FLAGS, pickToolchain, runTool } from './toolchain.mjs';

const SAMPLES = path.resolve(import.meta.dirname, '../samples');
const IMAGES = 'images.json';

/** Every sample folder below `root`. */
export function sampleFolders(root = SAMPLES) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name === IMAGES)
    .map((entry) => entry.parentPath ?? entry.path)
    .sort();
}

/** The images of a sample folder, as its images.json has them. */
export const imagesOf = (folder) => JSON.parse(readFileSync(path.join(folder, IMAGES), 'utf8'));

/**
 * Builds the images of one sample folder, all or those that `only` names, and returns their paths. Nothing is replaced
 * unless all of them build. Source names in the debug information are relative to the sample folder, whose own name is
 * mapped to '.'.
 */
export function buildSample(folder, tool, only = Object.keys(imagesOf(folder))) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'undervisor-samples-'));
  try {
    const images = imagesOf(folder);
    const built = only.map((name) => buildImage(folder, name, images[name], tool, scratch));
    const out = path.join(folder, 'build');
    mkdirSync(out, { recursive: true });
    return built.map((elf) => {
      copyFileSync(elf, path.join(out, path.basename(elf)));
      return path.join(out, path.basename(elf));
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const SECTOR = 512;

/** A raw disk image whose sectors tell their numbers. */
function buildDisk(name, { sectors }, scratch) {
  const bytes = Buffer.alloc(sectors * SECTOR);
  for (let sector = 0; sector < sectors; sector++) bytes.write(`sector ${sector} of the disk`, sector * SECTOR);
  const file = path.join(scratch, `${name}.img`);
  writeFileSync(file, bytes);
  return file;
}

function buildImage(folder, name, image, tool, scratch) {
  if (image.sectors) return buildDisk(name, image, scratch);
  const objects = sources(folder, name, image).map((source) => {
    const object = path.join(scratch, name, `${source}.o`);
    mkdirSync(path.dirname(object), { recursive: true });
    const flags = source.endsWith('.c') ? [...C_FLAGS, ...(image.flags ?? [])] : ASSEMBLY_FLAGS;
    const common = ['-isystem', 'include', `-ffile-prefix-map=${folder}=.`];
    runTool(tool.cc, [...flags, ...common, '-c', '-o', object, source], folder);
    return object;
  });
  const elf = path.join(scratch, `${name}.elf`);
  const layout = [
    '-T',
    image.linkerScript,
    '--build-id=none',
    '-static',
    '-z',
    'max-page-size=4096',
    '-z',
    'noexecstack',
  ];
  runTool(tool.ld, [...layout, '-o', elf, ...objects], folder);
  return elf;
}

/** The C and assembly files of an image's folders, sorted: the order of the link must not depend on the file system. */
function sources(folder, name, image) {
  const found = image.sources.flatMap((part) => {
    if (!existsSync(path.join(folder, part))) {
      throw new Error(`${path.join(folder, IMAGES)}: image "${name}" names the folder "${part}", which does not exist`);
    }
    return readdirSync(path.join(folder, part))
      .filter((file) => /\.[cS]$/.test(file))
      .sort()
      .map((file) => path.posix.join(part, file))
      .filter((file) => !image.without?.includes(file));
  });
  if (found.length === 0) throw new Error(`${path.join(folder, IMAGES)}: image "${name}" has no .c or .S file`);
  return found;
}

function main(folders) {
  const tool = pickToolchain();
  process.stdout.write(`compiler: ${tool.name}\n`);
  for (const folder of folders) {
    for (const elf of buildSample(folder, tool)) process.stdout.write(`${path.relative(process.cwd(), elf)}\n`);
  }
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const named = process.argv.slice(2).map((folder) => path.resolve(folder));
  try {
    main(named.length > 0 ? named : sampleFolders());
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
