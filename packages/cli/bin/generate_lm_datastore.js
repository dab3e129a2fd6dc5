#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('generate_lm_datastore', process.argv.slice(2));
