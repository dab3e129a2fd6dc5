#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('reduce_datastore_dims', process.argv.slice(2));
