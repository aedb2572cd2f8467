// A sequential scale that gets lighter all the way, readable without colour vision: dark violet to yellow.
const SCALE = [[36, 10, 72], [84, 24, 110], [150, 42, 96], [208, 72, 62], [244, 128, 28], [250, 196, 54], [252, 246, 160]];

function heat(share) {
  const at = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1);
  const i = Math.min(Math.floor(at), SCALE.length - 2);
  return SCALE[i].map((low, k) => Math.round(low + (SCALE[i + 1][k] - low) * (at - i)));
}

function rgb(text) {
  const value = parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const css = (color) => `rgb(${color[0]} ${color[1]} ${color[2]})`;
