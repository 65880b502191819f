// A network as numbers, and the few lines that turn an observation into what the network says.
"use strict";

/** The value of a floating-point number of 16 bits. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const rest = bits & 1023;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + rest / 1024) : sign * 2 ** -14 * (rest / 1024);
}

/** Numbers that were written as base64: little-endian, of 32 bits, or of 16 where those are exact. */
function numbers({ bits, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = bits / 8;
  const read = (at) => (bits === 16 ? half(view.getUint16(at, true)) : view.getFloat32(at, true));
  return Float64Array.from({ length: bytes.length / size }, (_, place) => read(place * size));
}

const BENDS = {
  relu: (x) => Math.max(0, x),
  leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
  elu: (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  softplus: (x) => Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x))),
  tanh: Math.tanh,
};

/** Each filter at each place of a picture where it stops. Pictures are rows of numbers: channel by channel, line by line. */
function filtered({ weight, bias, shape, kernel, stride, padding }, input) {
  const [channels, height, width] = shape;
  const [high, wide] = kernel;
  const stops = [0, 1].map((side) => Math.floor((shape[side + 1] + 2 * padding[side] - kernel[side]) / stride[side]) + 1);
  const output = [];
  bias.forEach((start, filter) => {
    for (let stop = 0; stop < stops[0] * stops[1]; stop++) {
      const top = Math.floor(stop / stops[1]) * stride[0] - padding[0];
      const left = (stop % stops[1]) * stride[1] - padding[1];
      let sum = start;
      for (let channel = 0; channel < channels; channel++)
        for (let row = Math.max(0, -top); row < Math.min(high, height - top); row++)
          for (let column = Math.max(0, -left); column < Math.min(wide, width - left); column++)
            sum += weight[((filter * channels + channel) * high + row) * wide + column]
              * input[(channel * height + top + row) * width + left + column];
      output.push(sum);
    }
  });
  return output;
}

/** Each row of the weights times the input, plus the row's bias. */
function linear({ weight, bias }, input) {
  return Array.from(bias, (start, row) =>
    input.reduce((sum, x, column) => sum + weight[row * input.length + column] * x, start),
  );
}

/** What a network says of an observation: its layers, one after the other. */
function think(layers, observation) {
  return layers.reduce((input, layer) => {
    if (layer.kind === "linear") return linear(layer, input);
    if (layer.kind === "filters") return filtered(layer, input);
    if (layer.kind === "first") return input.slice(0, layer.count);
    return input.map((x) => BENDS[layer.kind](x, layer.setting));
  }, observation);
}

/** The layers as they stand in the page, with their numbers read. */
function unpack(layers) {
  return layers.map((layer) =>
    layer.weight ? { ...layer, weight: numbers(layer.weight), bias: numbers(layer.bias) } : layer,
  );
}

/** Scores as probabilities. */
function softmax(scores) {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** The place of the largest number; of equal ones the first. */
function best(scores) {
  return scores.indexOf(Math.max(...scores));
}
