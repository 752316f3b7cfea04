// Writes a `.ksplat` of a compression level by GaussianSplats3D 0.4.7: `node ksplat.mjs NODE_MODULES IN.ply LEVEL OUT.ksplat`.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, input, level, output] = process.argv.slice(2);
const library = pathToFileURL(`${modules}/@mkkellogg/gaussian-splats-3d/build/gaussian-splats-3d.module.js`);
const { PlyParser, SplatBufferGenerator } = await import(library);

const { buffer, byteOffset, byteLength } = readFileSync(input);
const splats = PlyParser.parseToUncompressedSplatArray(buffer.slice(byteOffset, byteOffset + byteLength), 2);
// Two sections, of buckets of four within blocks of five units: full ones and others.
const generator = SplatBufferGenerator.getStandardGenerator(0, Number(level), 14, undefined, 5, 4);
writeFileSync(output, new Uint8Array(generator.generateFromUncompressedSplatArray(splats).bufferData));
