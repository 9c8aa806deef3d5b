// A signer of tokens, as a backend has one: by a key pair that it makes, for the tests.
//
//   node sign.mjs RS256|ES256 KID       one JSON line: {pem, jwk}, the public key in both forms
//
// Then each line of standard input is the claims of one token, and each line of standard output that token. Ends with its input.
import { createSign, generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fail } from './options.mjs';

const [alg, kid] = process.argv.slice(2);
const pair = alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : fail('needs RS256 or ES256, and a kid', 64);
console.log(JSON.stringify({ pem: pair.publicKey.export({ type: 'spki', format: 'pem' }), jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg } }));

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
for await (const line of createInterface({ input: process.stdin })) {
  const text = `${part({ alg, kid, typ: 'JWT' })}.${part(JSON.parse(line))}`;
  const signature = createSign('SHA256').update(text).sign({ key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
  console.log(`${text}.${signature.toString('base64url')}`);
}
