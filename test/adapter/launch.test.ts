import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { attributes, checkAttributes } from '../../debug-adapter/launch/attributes';
import { resolveLaunch } from '../../debug-adapter/launch/description';
import type { FileSource } from '../../debug-adapter/session/file-source';
import { joinPath, normalizePath } from '../../debug-adapter/session/paths';

/** Files of a test, by absolute path; folders follow from them. */
const filesOf = (contents: Record<string, string>): FileSource => ({
  read: (path) => {
    const text = contents[path];
    return text === undefined
      ? Promise.reject(new Error('there is no such file'))
      : Promise.resolve(new TextEncoder().encode(text));
  },
  kind: (path) =>
    Promise.resolve(
      path in contents
        ? 'file'
        : Object.keys(contents).some((file) => file.startsWith(`${path}/`))
          ? 'folder'
          : 'absent',
    ),
  absolute: (path) => (path.startsWith('/') ? path : `/${path}`),
});

describe('launch attributes', () => {
  it('names an unknown one and the nearest valid one', () => {
    assert.throws(() => checkAttributes({ program: 'x', memroy: 5 }, 'launch'), /unknown attribute "memroy".*"memory"/);
    assert.throws(() => checkAttributes({ prgram: 'x' }, 'launch'), /"prgram".*Did you mean "program"/);
    assert.throws(
      () => checkAttributes({ program: 'x', modules: [{ file: 'a', layr: 'b' }] }, 'launch'),
      /modules\[0\]: unknown attribute "layr".*"layer"/,
    );
  });

  it('names a wrong value', () => {
    for (const [given, message] of [
      [{ memory: 0 }, /memory must be a whole number of MiB/],
      [{ memory: '64' }, /memory must be/],
      [{ program: '' }, /program must be a non-empty string/],
      [{ modules: 'a' }, /modules must be a list/],
      [{ modules: [{}] }, /modules\[0\] needs "file"/],
      [{ symbols: [{ file: 'a', layer: 'b', bias: '12' }] }, /symbols\[0\]\.bias must be/],
      [{ disks: [{}] }, /disks\[0\] needs "file"/],
      [{ disks: [{ file: 'a', interface: 'scsi' }] }, /disks\[0\]\.interface must be one of "ide", "virtio"/],
      [{ disks: [{ file: 'a', write: true }] }, /disks\[0\]\.write must be one of/],
      [{ iommu: 1 }, /iommu must be true or false/],
      [{ stopOnEntry: 3 }, /stopOnEntry must be/],
      [{ boot: 'bios' }, /boot must be one of "auto", "pvh"/],
      [{ raw: { bits: 64 } }, /raw\.bits must be 16/],
      [{ raw: { adress: '0x1' } }, /raw: unknown attribute "adress".*"address"/],
      [{ raw: 3 }, /raw must be an object/],
      [{ startTime: '2026-13-01T00:00:00Z' }, /startTime must be a time/],
    ] as const) {
      assert.throws(() => checkAttributes(given, 'launch'), message);
    }
  });

  it('passes over what clients add for themselves, only in a launch', () => {
    assert.deepEqual(checkAttributes({ type: 'undervisor', name: 'n', __sessionId: '1', program: 'x' }, 'launch'), {
      program: 'x',
    });
    assert.throws(() => checkAttributes({ type: 'undervisor', program: 'x' }, '/a/undervisor.json'), /"type"/);
    assert.throws(() => checkAttributes({ program: 'x', stopOnEntry: true }, '/a/undervisor.json'), /"stopOnEntry"/);
  });
});

describe('launch attributes of the extension', () => {
  it('are those that the adapter knows', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
      contributes: { debuggers: { configurationAttributes: { launch: { properties: object } } }[] };
    };
    const offered = manifest.contributes.debuggers.map((row) =>
      Object.keys(row.configurationAttributes.launch.properties),
    );
    // noDebug is set by VS Code's own command, nobody writes it.
    const known = attributes.map(({ name }) => name).filter((name) => name !== 'noDebug');
    assert.deepEqual(offered.flat().sort(), known.sort());
  });

  it('have the bounds that the adapter holds', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
      contributes: {
        debuggers: {
          configurationAttributes: { launch: { properties: Record<string, { minimum?: number; maximum?: number }> } };
        }[];
      };
    };
    const { properties } = manifest.contributes.debuggers[0]!.configurationAttributes.launch;
    for (const name of ['memory', 'processors', 'quantum']) {
      const { minimum, maximum } = properties[name] ?? {};
      assert.ok(minimum !== undefined && maximum !== undefined, name);
      const check = (value: number) => checkAttributes({ program: 'x', [name]: value }, 'launch');
      for (const inside of [minimum, maximum]) check(inside);
      for (const outside of [minimum - 1, maximum + 1]) assert.throws(() => check(outside), name);
    }
  });
});

describe('launch description', () => {
  const description = JSON.stringify({
    program: 'build/vmm.elf',
    layer: 'vmm',
    modules: [{ file: 'build/monitor.elf', layer: 'monitor' }],
    memory: 32,
    disks: [{ file: 'disk.img' }],
  });

  it('is found in a folder; its paths are relative to it', async () => {
    const files = filesOf({ '/s/undervisor.json': description });
    for (const program of ['/s', '/s/undervisor.json', 's']) {
      const launch = await resolveLaunch({ program }, files);
      assert.equal(launch.program, '/s/build/vmm.elf');
      assert.equal(launch.modules?.[0]?.file, '/s/build/monitor.elf');
      assert.equal(launch.disks?.[0]?.file, '/s/disk.img');
      assert.equal(launch.memory, 32);
      assert.equal(launch.folder, '/s');
    }
  });

  it('is overridden by the launch itself', async () => {
    const files = filesOf({ '/s/undervisor.json': description });
    const launch = await resolveLaunch({ program: '/s', memory: 128, modules: [] }, files);
    assert.equal(launch.memory, 128);
    assert.deepEqual(launch.modules, []);
  });

  it('may be absent: an image alone, its layer named after the file', async () => {
    const launch = await resolveLaunch({ program: '/x/kernel.elf' }, filesOf({ '/x/kernel.elf': '' }));
    assert.equal(launch.layer, 'kernel');
    assert.equal(launch.memory, 64);
  });

  it('says what is wrong with it, and where', async () => {
    await assert.rejects(resolveLaunch({}, filesOf({})), /"program" is missing/);
    await assert.rejects(resolveLaunch({ program: '/d' }, filesOf({ '/d/other': '' })), /\/d has no undervisor\.json/);
    await assert.rejects(
      resolveLaunch({ program: '/no.json' }, filesOf({})),
      /cannot read \/no\.json: there is no such/,
    );
    await assert.rejects(resolveLaunch({ program: '/b.json' }, filesOf({ '/b.json': '{' })), /\/b\.json: .*JSON/);
    await assert.rejects(
      resolveLaunch({ program: '/b.json' }, filesOf({ '/b.json': '{"progam":"x"}' })),
      /\/b\.json: unknown attribute "progam".*"program"/,
    );
  });
});

describe('paths', () => {
  it('joins and normalises without a file system', () => {
    for (const [folder, file, result] of [
      ['/a/b', 'c', '/a/b/c'],
      ['/a/b', '../c', '/a/c'],
      ['/a', '/c', '/c'],
      ['', 'x/./y', 'x/y'],
      ['/a', '../../c', '/c'],
      ['c:\\a', 'b', 'c:/a/b'],
      ['vscode-vfs://github/o/r', 'x/../y', 'vscode-vfs://github/o/r/y'],
    ] as const) {
      assert.equal(joinPath(folder, file), result);
    }
    assert.equal(normalizePath('/'), '/');
    assert.equal(normalizePath('../x'), '../x');
  });
});
