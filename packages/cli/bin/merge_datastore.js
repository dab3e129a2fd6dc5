#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('merge_datastore', process.argv.slice(2));
