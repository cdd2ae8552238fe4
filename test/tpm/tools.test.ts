import { strict as assert } from 'node:assert';
import { createHash, createHmac, createPublicKey, verify } from 'node:crypto';
import { Bench } from './tools';

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const ONE = `${'00'.repeat(31)}01`;

describe('TPM 2.0, used with tpm2-tools', () => {
  let bench: Bench;
  before(async () => {
    bench = await new Bench('tpm2-tools').start();
    await bench.run('createprimary -C o -G ecc -c primary.ctx');
    bench.write('secret', 'the sealed secret');
  });
  after(() => bench.stop());

  it('shows and extends PCR; 17 to 22 wait for a dynamic launch', async () => {
    await bench.run(`pcrextend 5:sha256=${ONE}`);
    const values = await bench.run('pcrread sha256:5,17');
    const expected = sha256(Buffer.from('00'.repeat(32) + ONE, 'hex'));
    assert.match(values, new RegExp(`5 : 0x${expected}`, 'i'));
    assert.match(values, /17: 0xF{64}/);
    await bench.run(`pcrextend 16:sha256=${ONE}`);
    await bench.run('pcrreset 16');
    assert.match(await bench.run('pcrread sha256:16'), /16: 0x0{64}/);
    assert.match((await bench.attempt('pcrreset 17')).out, /bad locality/);
    bench.write('event', 'an event');
    assert.match(await bench.run('pcrevent 8 event'), new RegExp(`sha256: ${sha256('an event')}`));
  });

  it('names its algorithms, commands, curves and properties', async () => {
    assert.match(await bench.run('getcap algorithms'), /ecdsa:\n {2}value: {6}0x18\n {2}asymmetric: 1/);
    assert.match(await bench.run('getcap commands'), /TPM2_CC_Quote:/);
    assert.match(await bench.run('getcap ecc-curves'), /TPM2_ECC_NIST_P256: 0x3/);
    assert.match(await bench.run('getcap properties-fixed'), /TPM2_PT_REVISION:\n {2}raw: 0x9F\n {2}value: 1.59/);
    assert.match(await bench.run('getcap properties-variable'), /TPM2_PT_LOADED_CURVES: 0x2/);
    assert.match(await bench.run('getcap handles-permanent'), /0x4000000C/);
    await bench.run('selftest -f');
    assert.match(await bench.run('gettestresult'), /status: {3}success/);
    await bench.run('testparms ecc:ecdsa:null');
    assert.notEqual((await bench.attempt('testparms rsa2048')).code, 0);
  });

  it('digests what is larger than its buffer, in a sequence', async () => {
    const large = Buffer.alloc(3000, 0x5a);
    bench.write('large', large);
    for (const alg of ['sha1', 'sha256', 'sha384', 'sha512'])
      assert.match(
        await bench.run(`hash -g ${alg} --hex large`),
        new RegExp(createHash(alg).update(large).digest('hex')),
      );
  });

  it('seals to PCR, and unseals only while they are the same', async () => {
    await bench.run('startauthsession -S trial.ctx');
    await bench.run('policypcr -S trial.ctx -l sha256:0,7,17 -L pcr.policy');
    await bench.run('flushcontext trial.ctx');
    await bench.run('create -C primary.ctx -i secret -L pcr.policy -u seal.pub -r seal.priv');
    await bench.run('load -C primary.ctx -u seal.pub -r seal.priv -c seal.ctx');
    assert.equal(await bench.run('unseal -c seal.ctx -p pcr:sha256:0,7,17'), 'the sealed secret');
    assert.match((await bench.attempt('unseal -c seal.ctx')).out, /0x12F|unavailable/i);
    await bench.run(`pcrextend 7:sha256=${ONE}`);
    assert.match((await bench.attempt('unseal -c seal.ctx -p pcr:sha256:0,7,17')).out, /policy check failed/);
    // The same parent again, and a private part that was tampered with
    await bench.run('createprimary -C o -G ecc -c again.ctx');
    await bench.run('load -C again.ctx -u seal.pub -r seal.priv -c seal.ctx');
    const spoilt = Buffer.from(bench.read('seal.priv'));
    spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;
    bench.write('spoilt.priv', spoilt);
    assert.match((await bench.attempt('load -C again.ctx -u seal.pub -r spoilt.priv -c x.ctx')).out, /integrity/);
  });

  it('quotes PCR; the signature holds for checkquote', async () => {
    await bench.run('createek -c ek.ctx -G ecc -u ek.pub');
    await bench.run('createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name');
    await bench.run('quote -c ak.ctx -l sha256:0,5,17+sha1:3 -q 0011223344 -m q.msg -s q.sig -o q.pcrs -g sha256');
    await bench.run('checkquote -u ak.pub -m q.msg -s q.sig -f q.pcrs -q 0011223344 -g sha256');
    assert.notEqual(
      (await bench.attempt('checkquote -u ak.pub -m q.msg -s q.sig -f q.pcrs -q 0011223345 -g sha256')).code,
      0,
    );
  });

  it('makes and activates a credential', async () => {
    bench.write('credential', 'credential value');
    const name = bench.read('ak.name').toString('hex');
    await bench.run(`makecredential -u ek.pub -s credential -n ${name} -o blob`);
    await bench.run('startauthsession --policy-session -S ek-session.ctx');
    await bench.run('policysecret -S ek-session.ctx -c e');
    await bench.run('activatecredential -c ak.ctx -C ek.ctx -i blob -o recovered -P session:ek-session.ctx');
    await bench.run('flushcontext ek-session.ctx');
    assert.equal(bench.read('recovered').toString(), 'credential value');
    // Without a TPM the tools make the blob themselves, with OpenSSL: the same formats from other code.
    await bench.run('readpublic -c ek.ctx -f pem -o ek.pem');
    await bench.run(`makecredential -T none -G ecc -u ek.pem -s credential -n ${name} -o blob2`);
    await bench.run('startauthsession --policy-session -S ek-session.ctx');
    await bench.run('policysecret -S ek-session.ctx -c e');
    await bench.run('activatecredential -c ak.ctx -C ek.ctx -i blob2 -o recovered2 -P session:ek-session.ctx');
    await bench.run('flushcontext ek-session.ctx');
    assert.equal(bench.read('recovered2').toString(), 'credential value');
  });

  it('signs for OpenSSL and verifies what OpenSSL signed', async () => {
    bench.write('message', 'to be signed');
    await bench.run('create -C primary.ctx -G ecc256:ecdsa-sha256 -u sign.pub -r sign.priv -c sign.ctx -p keyauth');
    await bench.run('sign -c sign.ctx -p keyauth -g sha256 -f plain -o sig.der message');
    await bench.run('readpublic -c sign.ctx -f pem -o sign.pem');
    const key = createPublicKey(bench.read('sign.pem'));
    assert.ok(verify('sha256', Buffer.from('to be signed'), key, bench.read('sig.der')));
    await bench.run('sign -c sign.ctx -p keyauth -g sha256 -o sig.tss message');
    await bench.run('verifysignature -c sign.ctx -g sha256 -m message -s sig.tss');
    bench.write('other', 'another message');
    assert.notEqual((await bench.attempt('verifysignature -c sign.ctx -g sha256 -m other -s sig.tss')).code, 0);
    assert.match((await bench.attempt('sign -c sign.ctx -p wrong -g sha256 -o x message')).out, /authorization|auth/i);
    await bench.run('create -C primary.ctx -G ecc384:ecdsa-sha384 -u p384.pub -r p384.priv -c p384.ctx');
    await bench.run('sign -c p384.ctx -g sha384 -f plain -o sig384.der message');
    await bench.run('readpublic -c p384.ctx -f pem -o p384.pem');
    assert.ok(
      verify('sha384', Buffer.from('to be signed'), createPublicKey(bench.read('p384.pem')), bench.read('sig384.der')),
    );
  });

  it('computes an HMAC with an imported-value key and with its own', async () => {
    await bench.run('create -C primary.ctx -G hmac -c hmac.ctx -u hmac.pub -r hmac.priv');
    bench.write('data', 'short');
    bench.write('long', Buffer.alloc(2500, 7));
    assert.match(await bench.run('hmac -c hmac.ctx --hex data'), /^[0-9a-f]{64}/);
    assert.match(await bench.run('hmac -c hmac.ctx --hex long'), /^[0-9a-f]{64}/);
    bench.write('key', 'a key that is known');
    await bench.run('loadexternal -C n -G hmac -r key -a userwithauth|sign -c known.ctx');
    assert.match(
      await bench.run('hmac -c known.ctx -g sha256 --hex long'),
      new RegExp(createHmac('sha256', 'a key that is known').update(Buffer.alloc(2500, 7)).digest('hex')),
    );
  });

  it('takes salted and bound sessions, with encrypted parameters', async () => {
    await bench.run('startauthsession --hmac-session --tpmkey-context primary.ctx -S salted.ctx');
    await bench.run('sessionconfig salted.ctx --enable-encrypt --enable-decrypt');
    bench.write('sealed', 'through an encrypted session');
    await bench.run('create -C primary.ctx -P session:salted.ctx -i sealed -u s.pub -r s.priv -p sealauth');
    await bench.run('load -C primary.ctx -u s.pub -r s.priv -c s.ctx -P session:salted.ctx');
    assert.equal(await bench.run('unseal -c s.ctx -p session:salted.ctx+sealauth'), 'through an encrypted session');
    assert.match((await bench.attempt('unseal -c s.ctx -p session:salted.ctx+wrong')).out, /0x98E|authorization HMAC/i);
    await bench.run('flushcontext salted.ctx');
    await bench.run('dictionarylockout --clear-lockout');
    await bench.run('startauthsession --hmac-session -S bound.ctx --bind-context s.ctx --bind-auth sealauth');
    assert.equal(await bench.run('unseal -c s.ctx -p session:bound.ctx+sealauth'), 'through an encrypted session');
    await bench.run('flushcontext bound.ctx');
  });

  it('combines policies: command, authorization value, or, secret, signed, restart', async () => {
    await bench.run('startauthsession -S t.ctx');
    await bench.run('policycommandcode -S t.ctx -L code.policy TPM2_CC_Unseal');
    await bench.run('policyrestart -S t.ctx');
    await bench.run('policyauthvalue -S t.ctx -L value.policy');
    await bench.run('policyrestart -S t.ctx');
    await bench.run('policyor -S t.ctx -L or.policy sha256:code.policy,value.policy');
    await bench.run('flushcontext t.ctx');
    bench.write('or-secret', 'either way');
    await bench.run('create -C primary.ctx -i or-secret -L or.policy -p orauth -u o.pub -r o.priv');
    await bench.run('load -C primary.ctx -u o.pub -r o.priv -c o.ctx');
    await bench.run('startauthsession --policy-session -S p.ctx');
    await bench.run('policycommandcode -S p.ctx TPM2_CC_Unseal');
    assert.match((await bench.attempt('unseal -c o.ctx -p session:p.ctx')).out, /policy check failed/);
    await bench.run('policyor -S p.ctx sha256:code.policy,value.policy');
    assert.equal(await bench.run('unseal -c o.ctx -p session:p.ctx'), 'either way');
    await bench.run('policyrestart -S p.ctx');
    await bench.run('policyauthvalue -S p.ctx');
    await bench.run('policyor -S p.ctx sha256:code.policy,value.policy');
    assert.equal(await bench.run('unseal -c o.ctx -p session:p.ctx+orauth'), 'either way');
    await bench.run('policyrestart -S p.ctx');
    await bench.run('policypassword -S p.ctx');
    await bench.run('policyor -S p.ctx sha256:code.policy,value.policy');
    assert.equal(await bench.run('unseal -c o.ctx -p session:p.ctx+orauth'), 'either way');
    await bench.run('flushcontext p.ctx');
  });

  it('keeps objects and indexes in NV memory', async () => {
    await bench.run('evictcontrol -C o -c primary.ctx 0x81000001');
    assert.match(await bench.run('getcap handles-persistent'), /0x81000001/);
    await bench.run('load -C 0x81000001 -u seal.pub -r seal.priv -c from-nv.ctx');
    await bench.run('evictcontrol -C o -c 0x81000001');
    await bench.run('nvdefine 0x1500016 -C o -s 32 -p indexauth -a ownerread|authread|authwrite');
    bench.write('nv', 'please write');
    await bench.run('nvwrite 0x1500016 -C 0x1500016 -P indexauth -i nv');
    assert.equal(await bench.run('nvread 0x1500016 -C o -s 12'), 'please write');
    assert.notEqual((await bench.attempt('nvwrite 0x1500016 -C o -i nv')).code, 0);
    await bench.run('nvdefine 0x1500017 -C o -a ownerread|ownerwrite|nt=counter');
    await bench.run('nvincrement 0x1500017 -C o');
    await bench.run('nvincrement 0x1500017 -C o');
    await bench.run('nvread 0x1500017 -C o -o count');
    assert.equal(bench.read('count').readBigUInt64BE(), 2n);
    await bench.run('nvdefine 0x1500018 -C o -a ownerread|ownerwrite|nt=extend -g sha256');
    await bench.run('nvextend 0x1500018 -C o -i nv');
    for (const index of ['0x1500016', '0x1500017', '0x1500018']) await bench.run(`nvundefine ${index} -C o`);
  });

  it('locks out who guesses, and forgives with time', async () => {
    await bench.run('create -C primary.ctx -i secret -p goodauth -u d.pub -r d.priv');
    await bench.run('load -C primary.ctx -u d.pub -r d.priv -c d.ctx');
    await bench.run('dictionarylockout --clear-lockout');
    for (let tries = 0; tries < 3; tries++) assert.notEqual((await bench.attempt('unseal -c d.ctx -p bad')).code, 0);
    assert.match((await bench.attempt('unseal -c d.ctx -p goodauth')).out, /DA lockout/);
    bench.time += 1000 * 1000;
    assert.equal(await bench.run('unseal -c d.ctx -p goodauth'), 'the sealed secret');
  });

  it('changes authorizations, and is cleared', async () => {
    await bench.run('changeauth -c o ownerauth');
    assert.notEqual((await bench.attempt('createprimary -C o -G ecc -c x.ctx')).code, 0);
    await bench.run('createprimary -C o -P ownerauth -G ecc -c owned.ctx');
    await bench.run('create -C owned.ctx -i secret -p old -u c.pub -r c.priv');
    await bench.run('load -C owned.ctx -u c.pub -r c.priv -c c.ctx');
    await bench.run('changeauth -c c.ctx -C owned.ctx -p old -r c2.priv new');
    await bench.run('load -C owned.ctx -u c.pub -r c2.priv -c c2.ctx');
    assert.equal(await bench.run('unseal -c c2.ctx -p new'), 'the sealed secret');
    await bench.run('clear -c l');
    await bench.run('createprimary -C o -G ecc -c fresh.ctx');
    assert.notEqual((await bench.attempt('load -C fresh.ctx -u c.pub -r c2.priv -c x.ctx')).code, 0);
  });

  it('draws the same random numbers again from the same seed', async () => {
    const draw = async (seed: string): Promise<string> => {
      const one = await new Bench(seed).start();
      const drawn = await one.run('getrandom --hex 16');
      one.stop();
      return drawn;
    };
    const first = await draw('s1');
    assert.equal(await draw('s1'), first);
    assert.notEqual(await draw('s2'), first);
  });
});
