#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('knn-lm', process.argv.slice(2));
