import { describe, expect, it } from 'vitest';
import { sinusoidFrequencies } from './sinusoid-frequencies.js';

describe('sinusoidFrequencies', () => {
  it('gives the angles of torch 1.13', () => {
    // fairseq's table for 48 dimensions at position 25: SinusoidalPositionalEmbedding.get_embedding(26, 48, 1)[25, :6]
    const sines = [
      -0.13235175609588623, -0.8636700510978699, -0.9742211103439331, 0.9446483254432678, -0.9473452568054199,
      -0.23205779492855072,
    ];
    const frequencies = sinusoidFrequencies(48);
    expect(frequencies).toHaveLength(24);
    sines.forEach((sine, i) => {
      const angle = Math.fround(25 * frequencies[i]);
      // One unit in the last place of the second frequency would be 1.5e-6 here.
      expect(Math.abs(Math.sin(angle) - sine)).toBeLessThan(6e-8);
    });
  });

  it('goes from 1 to 1/10000', () => {
    const frequencies = sinusoidFrequencies(1024);
    expect(frequencies[0]).toBe(1);
    expect(frequencies[511]).toBeCloseTo(1e-4, 9);
  });
});
