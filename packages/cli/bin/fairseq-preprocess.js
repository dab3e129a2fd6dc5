#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('fairseq-preprocess', process.argv.slice(2));
