"""Families of network shapes: convolutions, pools, branches, inputs and outputs."""

from __future__ import annotations

import numpy as np
import onnx

from bench.zoo.net import Net, f32, family


@family
def plain(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    return net.last(net.step(net.norm(x, 6), 0), 6)


@family
def perceptron_with_real_head(net: Net) -> onnx.ModelProto:
    x = net.step(net.add("Gemm", net.add("Flatten", net.input(1, 8, 8)), net.real(64, 20)), 0)
    x = net.step(net.add("Gemm", x, net.trinary(30, 20), net.real(30), transB=1))
    x = net.step(net.add("Add", net.add("MatMul", x, net.trinary(30, 10)), net.real(10)))
    return net.model(net.add("Softmax", net.add("Gemm", x, net.real(10, 4), net.real(4)), axis=1))


@family
def speech_conv1d(net: Net) -> onnx.ModelProto:
    x = net.step(net.conv(net.input(2, 20), net.real(4, 2, 3), 1), 0)
    x = net.step(net.conv(x, net.trinary(6, 4, 3), strides=[2]))
    return net.model(net.step(net.conv(x, net.trinary(5, 6, 2))))


@family
def depthwise_separable(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(4, 1, 3, 3), 1, group=4)), 4)


@family
def dilated(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(6, 4, 3, 3), 2, dilations=[2, 2])), 6)


@family
def asymmetric_pads(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(6, 4, 3, 3), pads=[0, 1, 2, 0])), 6)


@family
def tensorflow_same_pads(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 4, 4), auto_pad="SAME_UPPER", strides=[2, 2])
    return net.last(net.step(x), 6)


@family
def average_pool_with_threshold(net: Net) -> onnx.ModelProto:
    x = net.add("AveragePool", net.first(), kernel_shape=[2, 2], strides=[2, 2])
    return net.last(net.step(x), 4)


@family
def max_pool_of_spikes(net: Net) -> onnx.ModelProto:
    return net.last(net.add("MaxPool", net.first(), kernel_shape=[2, 2], strides=[2, 2]), 4)


@family
def max_pool_before_threshold(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3), 1)
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.last(net.step(net.norm(x, 6), 0), 6)


@family
def residual_of_sums(net: Net) -> onnx.ModelProto:
    a = net.first()
    sums = net.conv(a, net.trinary(4, 4, 3, 3), 1)
    more = net.conv(net.step(sums), net.trinary(4, 4, 3, 3), 1)
    return net.model(net.step(net.add("Add", sums, more)))


@family
def residual_of_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.add("Add", a, b), 4)


@family
def difference_of_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    b, c = (net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1)) for _ in range(2))
    x = net.add("Flatten", net.add("Sub", net.add("Add", a, b), c))
    return net.model(net.step(net.add("Gemm", net.add("Gather", x, np.arange(0, 256, 8), axis=1), net.trinary(32, 6))))


@family
def trinary_head_on_the_host(net: Net) -> onnx.ModelProto:
    """Scaled spikes, a pool and a sum that only the host's last layer reads."""
    x = net.step(net.conv(net.first(), net.trinary(4, 4, 3, 3), 1))
    pools = [net.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]) for y in (x, net.add("Mul", x, f32(0.5)))]
    heads = [net.add("MatMul", net.add("Flatten", pool), net.trinary(64, 10)) for pool in pools]
    return net.model(*heads, net.add("Conv", net.add("Add", x, x), net.trinary(2, 4, 1, 1)))


@family
def residual_behind_biases(net: Net) -> onnx.ModelProto:
    """Biases on either side of a sum and a difference, of maps and of vectors."""
    a, bias = net.first(), np.array([0.25, -1.5, 0.75, -0.5], f32)
    b = net.add("Conv", a, net.trinary(4, 4, 3, 3), bias, pads=[1] * 4)
    c = net.add("Conv", a, net.trinary(4, 4, 1, 1), bias[::-1])
    x = net.step(net.add("Sub", net.add("Add", b, a), net.add("Add", c, f32(0.5))), 0)
    x = net.step(net.add("Gemm", net.add("Flatten", x), net.trinary(256, 20)))
    y = net.add("Gemm", x, net.trinary(20, 20), net.rng.integers(-2, 3, 20).astype(f32) + f32(0.5))
    return net.model(net.step(net.add("Gemm", net.step(net.add("Add", x, y), 0), net.trinary(20, 6))))


@family
def residual_of_signs(net: Net) -> onnx.ModelProto:
    """A binary network: signs added to sums and to signs, averaged over windows with padding, and on vectors."""
    a = net.sign(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1))
    b = net.sign(net.add("Add", net.add("Conv", a, net.signs(4, 4, 3, 3), net.real(4), pads=[1] * 4), a))
    c = net.sign(net.add("Sub", net.add("Add", a, b), f32(0.5)))
    c = net.add("AveragePool", c, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = net.add("Flatten", net.sign(net.add("Sub", c, net.real(4, 1, 1) * f32(0.3))))
    y = net.add("Gemm", x, net.signs(64, 64), net.real(64))
    return net.model(net.sign(net.add("Gemm", net.sign(net.add("Sub", y, x)), net.trinary(64, 6), net.real(6))))


@family
def sums_of_three_valued_signs(net: Net) -> onnx.ModelProto:
    """torch.sign alone: sums of two signs, and a layer on such a sum."""
    a = net.add("Sign", net.conv(net.input(1, 6, 6), net.real(4, 1, 3, 3), 1))
    b = net.add("Sign", net.add("Conv", a, net.signs(4, 4, 3, 3), net.real(4), pads=[1] * 4))
    c = net.add("Sign", net.add("Sub", net.add("Add", a, b), f32(0.5)))
    return net.model(net.add("Sign", net.add("Conv", net.add("Add", c, b), net.trinary(6, 4, 1, 1), net.real(6))))


@family
def residual_then_threshold(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.step(net.add("Add", a, b), 1), 4)


@family
def dense_concat(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.add("Concat", a, b, axis=1), 8)


@family
def split_and_slice(net: Net) -> onnx.ModelProto:
    a, b = net.add("Split", net.first(), np.array([2, 2]), outputs=2, axis=1)
    a = net.step(net.conv(a, net.trinary(4, 2, 3, 3), 1))
    x = net.add("Concat", a, b, axis=1)
    return net.last(net.add("Slice", x, np.array([1, 2]), np.array([7, 8]), np.array([2, 3])), 6)


@family
def channel_shuffle(net: Net) -> onnx.ModelProto:
    x = net.step(net.conv(net.first(), net.trinary(8, 2, 3, 3), 1, group=2))
    x = net.add("Reshape", x, np.array([0, 2, 4, 8, 8]))
    x = net.add("Reshape", net.add("Transpose", x, perm=[0, 2, 1, 3, 4]), np.array([0, 8, 8, 8]))
    x = net.step(net.conv(x, net.trinary(8, 2, 3, 3), group=4))
    return net.last(net.add("Gather", x, net.rng.permutation(8), axis=1), 8)


@family
def branches_of_different_depth(net: Net) -> onnx.ModelProto:
    first = x = net.first(size=4)
    for _ in range(int(net.rng.integers(2, 19))):
        x = net.step(net.conv(x, net.trinary(4, 1, 1, 1), group=4))
    return net.last(net.add("Concat", first, x, axis=1), 8)


@family
def two_inputs(net: Net) -> onnx.ModelProto:
    a, b = net.step(net.input(2, 5, 5)), net.step(net.input(3, 5, 5, name="z"), 0)
    return net.last(net.add("Concat", a, b, axis=1), 5)


@family
def two_outputs(net: Net) -> onnx.ModelProto:
    spikes = net.step(net.conv(net.first(), net.trinary(4, 4, 3, 3)))
    more = net.step(net.conv(spikes, net.trinary(3, 4, 1, 1)))
    return net.model(spikes, net.add("GlobalAveragePool", more))


@family
def layers_that_share_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    return net.model(*(net.step(net.conv(a, net.trinary(3, 4, k, k))) for k in (1, 3)))


@family
def dead_channels(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(4, 4, 3, 3), f32([-99, 99, 0, 0]))
    return net.last(net.step(x), 4)


@family
def upsampling(net: Net) -> onnx.ModelProto:
    x = net.add("Resize", net.first(size=4), "", f32([1, 1, 2, 2]), mode="nearest")
    x = net.step(net.conv(x, net.trinary(4, 4, 3, 3)))
    return net.last(net.add("DepthToSpace", x, blocksize=2), 1)


@family
def integer_weights(net: Net) -> onnx.ModelProto:
    """Integers of 3, 4 and 5 bits, depthwise, shared and all positive."""
    x = net.step(net.conv(net.first(), net.rng.integers(-4, 4, (8, 1, 3, 3)).astype(f32), 1, group=4))
    x = net.step(net.conv(x, net.rng.integers(-8, 8, (6, 4, 3, 3)).astype(f32) / f32(4), group=2))
    x = net.step(net.conv(x, net.rng.integers(0, 32, (5, 6, 1, 1)).astype(f32)), 60.5)
    return net.last(x, 5)


@family
def residual_of_integer_sums(net: Net) -> onnx.ModelProto:
    """Two layers of 3-bit weights on the same spikes, added up: one layer of weights -8..6."""
    a = net.first()
    b, c = (net.conv(a, net.rng.integers(-4, 4, (4, 4, k, k)).astype(f32), k // 2) for k in (3, 1))
    return net.last(net.step(net.add("Add", b, c)), 4)


@family
def linear_of_four_bits(net: Net) -> onnx.ModelProto:
    """64 inputs of four axons each: a full core."""
    x = net.add("Flatten", net.first(4, 4))
    x = net.step(net.add("Gemm", x, net.rng.integers(-8, 8, (64, 24)).astype(f32)))
    return net.model(net.step(net.add("Gemm", x, net.trinary(24, 6))))


@family
def thresholds_beyond_a_leak(net: Net) -> onnx.ModelProto:
    """Weights 0..15 whose sums reach 500 and more, and thresholds around 300."""
    x = net.step(net.conv(net.first(4, 6), net.rng.integers(8, 16, (6, 4, 4, 4)).astype(f32), 1), 290.5)
    return net.last(x, 6)


@family
def residual_of_scaled_sums(net: Net) -> onnx.ModelProto:
    """Spikes added to a quantised layer's sums: one layer on both, whose weights are multiples of the smaller scale."""
    a = net.first()
    sums = net.conv(a, net.trinary(4, 4, 3, 3) * f32(0.25), 1)
    sums = net.add(
        "Add", a, net.add("Add", sums, net.conv(a, net.rng.integers(-2, 3, (4, 4, 1, 1)).astype(f32) * f32(0.75)))
    )
    return net.last(net.step(sums, 0.6), 4)


@family
def residual_that_halves_the_map(net: Net) -> onnx.ModelProto:
    """A ResNet's downsampling block: the shortcut is a 1 x 1 layer of stride 2, on twice the main path's grid."""
    a = net.first(size=9)
    main = net.step(net.conv(a, net.trinary(6, 4, 3, 3), 1, strides=[2, 2]))
    main = net.add("Conv", main, net.trinary(6, 6, 3, 3), net.real(6), pads=[1, 1, 1, 1])
    shortcut = net.add("Conv", a, net.trinary(6, 4, 1, 1), net.real(6), strides=[2, 2])
    return net.last(net.step(net.norm(net.add("Add", main, shortcut), 6), 0), 6)


@family
def shortcuts_without_weights(net: Net) -> onnx.ModelProto:
    """Every second spike with silent channels beside, and means of 2 x 2 spikes, both added to a layer's sums."""
    a = net.first()
    picked = net.add("Slice", a, np.array([0, 0]), np.array([8, 8]), np.array([2, 3]), np.array([2, 2]))
    picked = net.add("Pad", picked, np.array([0, 2, 0, 0, 0, 2, 0, 0]))
    x = net.step(net.add("Add", net.conv(a, net.trinary(8, 4, 3, 3), 1, strides=[2, 2]), picked))
    means = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.model(net.step(net.add("Add", net.conv(x, net.trinary(8, 8, 3, 3), 1, strides=[2, 2]), means), 0.6))


@family
def sum_of_dilated_layers(net: Net) -> onnx.ModelProto:
    a = net.first()
    near, far = (net.conv(a, net.trinary(6, 4, 3, 3), d, dilations=[d, d]) for d in (1, 2))
    return net.last(net.step(net.add("Add", near, far)), 6)


@family
def average_pool_before_threshold(net: Net) -> onnx.ModelProto:
    """The pool goes into the layer: a 4 x 4 kernel of weights up to 4, stride 2; then a mean of all that is left."""
    x = net.norm(net.conv(net.first(), net.trinary(4, 2, 3, 3), 1, group=2), 4)
    x = net.step(net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 0)
    x = net.add("GlobalAveragePool", net.add("Conv", x, net.trinary(6, 4, 1, 1), net.real(6)))
    return net.model(net.step(x, 0.1))


@family
def layers_on_averages(net: Net) -> onnx.ModelProto:
    """A ResNet-D block: its shortcut reads means of 2 x 2 spikes; then a linear layer on global means."""
    a = net.first()
    main = net.step(net.conv(a, net.trinary(6, 4, 3, 3), 1, strides=[2, 2]))
    means = net.add("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Add", net.conv(main, net.trinary(6, 6, 3, 3), 1), net.conv(means, net.trinary(6, 4, 1, 1)))
    x = net.add("Flatten", net.add("GlobalAveragePool", net.step(x, 0.6)))
    return net.model(net.step(net.add("Gemm", x, net.trinary(6, 5)), 0.1))


@family
def binary_network_with_averages(net: Net) -> onnx.ModelProto:
    """{-1, +1}: signs added to a layer's sums, means of signs compared."""
    a = net.sign(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1))
    x = net.sign(net.add("Add", net.add("Add", net.conv(a, net.signs(4, 4, 3, 3), 1), a), f32(0.5)))
    means = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.last(net.step(means, 0.1), 4)


@family
def filters_that_fill_cores(net: Net) -> onnx.ModelProto:
    """256 nonzero weights: one filter a core."""
    x = net.add("Flatten", net.first(4, 8))
    x = net.step(net.add("Gemm", x, net.signs(256, 12)))
    return net.model(net.step(net.add("Gemm", x, net.trinary(12, 6))))


@family
def partial_sums_of_integer_weights(net: Net) -> onnx.ModelProto:
    """3-bit weights on 200 inputs, and the mean of a map's sums: filters that need up to 1.4 cores' axons."""
    a = net.first(8, 5)
    x = net.step(net.add("Gemm", net.add("Flatten", a), net.rng.integers(-4, 4, (200, 8)).astype(f32)), 2.5)
    means = net.add("GlobalAveragePool", net.conv(a, net.trinary(3, 8, 3, 3), 1))
    return net.model(net.step(net.add("Gemm", x, net.trinary(8, 4))), net.step(means, 0.03))


@family
def classifier_of_partial_sums(net: Net) -> onnx.ModelProto:
    """512 nonzero weights in 3 stages, then votes counted on the host."""
    x = net.add("Flatten", net.first(8, 8))
    x = net.step(net.add("Gemm", x, net.signs(512, 20)), net.rng.integers(-12, 12, 20) + 0.5)
    votes = np.repeat(np.eye(5), 4, axis=0).astype(f32)
    return net.model(net.add("ArgMax", net.add("MatMul", x, votes), axis=1))


@family
def convolution_of_partial_sums(net: Net) -> onnx.ModelProto:
    """A 3 x 3 kernel on 32 channels, beside one that fits, and a global maximum of more positions than axons."""
    x = net.first(32, 4)
    wide, narrow = (net.step(net.conv(x, net.signs(4, 32, k, k), k // 2)) for k in (3, 1))
    x = net.add("Concat", wide, narrow, axis=1)
    x = net.add("Resize", x, "", f32([1, 1, 5, 5]), mode="nearest")
    return net.model(net.step(net.add("GlobalMaxPool", x)))
