"""The mapping passes on networks made to need one thing each: splitters, relays, dead features, defects, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.passes.test_mapping import TINY, check_equal, compile_graph, conv, spikes
from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.invariants import invariants
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Concat, Gather, SpikingConv2d
from tncc.ir.routing import routes
from tncc.passes.filter_groups import split_groups
from tncc.passes.manager import run_pipeline
from tncc.passes.place_cores import PlaceCores
from tncc.passes.placement.wires import core_edges, least_mean_hops
from tncc.passes.split_filter_groups import SplitFilterGroups


def chain(rng: np.random.Generator, depth: int, channels: int = 2, name: str = "y") -> list[SpikingConv2d]:
    ops, last = [], "x"
    for k in range(depth):
        ops.append(conv(rng, last, (channels, 1, 1), f"{name}{k}", channels))
        last = ops[-1].output
    return ops


def kinds(netlist: Netlist) -> set[str]:
    return {layer.kind for layer in netlist.layers}


def test_fan_out_beyond_a_core_takes_splitters() -> None:
    rng = np.random.default_rng(1)
    a = conv(rng, "x", (2, 1, 1), "a", 1, density=1.0)
    b = conv(rng, "a", (1, 1, 1), "b", 30, density=1.0)  # 30 outputs on 8 neurons a core: a needs more than 8 copies
    c = conv(rng, "a", (1, 1, 1), "c", 90, density=1.0)
    graph = Graph("fan", (Value("x", spikes(2, 1, 1)),), (a, b, c), ("b", "c"))
    netlist = check_equal(graph)
    assert "splitter" in kinds(netlist)


def test_two_levels_of_splitters() -> None:
    rng = np.random.default_rng(1)
    a = conv(rng, "x", (2, 1, 1), "a", 1, density=1.0)
    b = conv(rng, "a", (1, 1, 1), "b", 600, density=1.0)
    graph = Graph("fan", (Value("x", spikes(2, 1, 1)),), (a, b), ("b",))
    netlist = check_equal(graph)
    assert netlist.outputs[0].latency_ticks >= 4


def test_long_skip_takes_relays() -> None:
    rng = np.random.default_rng(2)
    deep = chain(rng, 20)
    joined = Concat(inputs=("y0", "y19"), output="j", type=spikes(4, 1, 1), location=Location.of("Concat_0"), axis=0)
    last = conv(rng, "j", (4, 1, 1), "z", 3, density=1.0)
    graph = Graph("skip", (Value("x", spikes(2, 1, 1)),), (*deep, joined, last), ("z",))
    netlist = check_equal(graph)
    assert "relay" in kinds(netlist)
    assert int(netlist.target_delay.max()) > 1


def test_short_skip_is_aligned_by_delays_alone() -> None:
    rng = np.random.default_rng(2)
    deep = chain(rng, 10)
    joined = Concat(inputs=("y0", "y9"), output="j", type=spikes(4, 1, 1), location=Location.of("Concat_0"), axis=0)
    last = conv(rng, "j", (4, 1, 1), "z", 3, density=1.0)
    netlist = check_equal(Graph("skip", (Value("x", spikes(2, 1, 1)),), (*deep, joined, last), ("z",)))
    assert kinds(netlist) == {"conv"}
    assert int(netlist.target_delay.max()) == 10


def test_inputs_and_early_layers_may_be_outputs() -> None:
    rng = np.random.default_rng(3)
    ops = chain(rng, 3)
    both = Concat(inputs=("x", "y0", "y2"), output="j", type=spikes(6, 1, 1), location=Location.of("Concat_0"), axis=0)
    check_equal(Graph("outs", (Value("x", spikes(2, 1, 1)),), (*ops, both), ("j", "y1", "x")))


def test_features_nobody_needs_take_no_neuron() -> None:
    rng = np.random.default_rng(4)
    a = conv(rng, "x", (4, 1, 1), "a", 4, density=1.0)
    pick = Gather(
        inputs=("a",),
        output="p",
        type=spikes(1, 1, 1),
        location=Location.of("Gather_0"),
        indices=np.array([2]),
        axis=0,
    )
    b = conv(rng, "p", (1, 1, 1), "b", 1, density=1.0)
    netlist = check_equal(Graph("dead", (Value("x", spikes(4, 1, 1)),), (a, pick, b), ("b",)))
    assert int((netlist.neuron_type >= 0).sum()) == 2


def test_weights_of_one_sign_take_one_axon() -> None:
    rng = np.random.default_rng(5)
    a = conv(rng, "x", (8, 1, 1), "a", 2, density=1.0, max_inputs=8)
    a = replace(a, weight=np.abs(a.weight))
    chip = Chip(axons=16, neurons=8, mesh_x=4, mesh_y=4)
    netlist = compile_graph(Graph("or", (Value("x", spikes(8, 1, 1)),), (a,), ("a",)), chip)
    assert netlist.input_core.size == 8


@pytest.mark.parametrize("fanout", ["host", "splitters"])
def test_a_filter_may_fill_a_core_with_one_axon_an_input(fanout: str) -> None:
    rng = np.random.default_rng(13)
    a = conv(rng, "x", (2, 4, 4), "a", 6, kernel=(2, 2), density=1.0, max_inputs=8)
    b = conv(rng, "a", (6, 3, 3), "b", 8, groups=2, kernel=(2, 2), density=0.9, max_inputs=8)
    graph = Graph("wide", (Value("x", spikes(2, 4, 4)),), (a, b), ("b",))
    assert (np.count_nonzero(a.weight, axis=(1, 2, 3)) == TINY.axons).all()
    netlist = check_equal(graph, options=f"input-fanout={fanout}", frames=40)
    assert int((netlist.layer == 0).sum()) >= 6 * 9  # no two such filters share a core


def test_inputs_without_a_synapse_take_no_axon() -> None:
    """Sixteen inputs, of which the filters together read six: one core of eight axons, six of them driven."""
    rng = np.random.default_rng(14)
    a = conv(rng, "x", (16, 1, 1), "a", 4, density=1.0, max_inputs=16)
    weight = np.abs(a.weight)
    weight[:, [0, 2, 3, 5, 6, 7, 9, 11, 12, 14]] = 0
    netlist = check_equal(Graph("sparse", (Value("x", spikes(16, 1, 1)),), (replace(a, weight=weight),), ("a",)))
    assert netlist.n_cores == 1 and netlist.input_core.size == 6


def test_the_models_own_groups_share_cores() -> None:
    """Two groups of four inputs each: no group is cut though both together would not fit."""
    rng = np.random.default_rng(15)
    a = conv(rng, "x", (8, 1, 1), "a", 8, groups=2, density=1.0)
    split = SplitFilterGroups().run(Graph("groups", (Value("x", spikes(8, 1, 1)),), (a,), ("a",)), TINY)
    np.testing.assert_array_equal(split.ops[0].feature_groups, [0] * 4 + [1] * 4)


def test_too_few_cores_names_the_largest_layers() -> None:
    rng = np.random.default_rng(6)
    a = conv(rng, "x", (4, 4, 4), "a", 8, density=1.0)
    b = conv(rng, "a", (8, 4, 4), "b", 4, density=1.0)
    graph = Graph("large", (Value("x", spikes(4, 4, 4)),), (a, b), ("b",))
    with pytest.raises(CompileError) as error:
        compile_graph(graph, replace(TINY, mesh_x=3, mesh_y=3))
    assert str(error.value) == (
        "Conv_b via split-filter-groups: needs 56 cores, chip has 9; Conv_b uses 24, Conv_a uses 16, "
        "splitters of a uses 16\n  hint: 7 chips of 9 cores would hold it"
    )


def test_a_network_that_only_defects_keep_off_the_chip() -> None:
    a = conv(np.random.default_rng(6), "x", (4, 1, 1), "a", 4, density=1.0)
    graph = Graph("one", (Value("x", spikes(4, 1, 1)),), (a,), ("a",))
    with pytest.raises(CompileError, match=r"chip has 0; .*\n  hint: defective: 1; another chip"):
        compile_graph(graph, replace(TINY, mesh_x=1, mesh_y=1, defects=frozenset({(0, 0)})))


def test_defects_stay_free_and_the_seed_decides() -> None:
    rng = np.random.default_rng(7)
    a = conv(rng, "x", (4, 3, 3), "a", 4, density=1.0)
    b = conv(rng, "a", (4, 3, 3), "b", 4, density=1.0)
    graph = Graph("defects", (Value("x", spikes(4, 3, 3)),), (a, b), ("b",))
    chip = replace(TINY, mesh_x=8, mesh_y=8, chips_x=2, defects=frozenset({(0, 0), (5, 5), (9, 2)}))
    one, same, other = (PlaceCores(effort="low", seed=seed).run(compile_graph(graph, chip), chip) for seed in (3, 3, 4))
    assert not {(0, 0), (5, 5), (9, 2)} & set(zip(one.core_x.tolist(), one.core_y.tolist(), strict=True))
    assert np.array_equal(one.core_x, same.core_x) and np.array_equal(one.core_y, same.core_y)
    assert not (np.array_equal(one.core_x, other.core_x) and np.array_equal(one.core_y, other.core_y))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("axons-driven-once", lambda n: {"input_axon": np.where(n.input_axon == 1, 0, n.input_axon).astype(np.int32)}),
        ("synapses-driven", lambda n: {"crossbars": np.full_like(n.crossbars, 1)}),
        ("frames-aligned", lambda n: {"target_delay": (n.target_delay * 2).astype(np.uint8)}),
        ("frames-aligned", lambda n: {"input_delay": np.where(n.input_axon == 0, 2, 1).astype(np.uint8)}),
        ("frames-aligned", lambda n: {"outputs": (replace(n.outputs[0], latency_ticks=1),)}),
        ("outputs-driven-once", lambda n: {"target_core": np.where(n.target_core == -3, -1, n.target_core)}),
        ("placed", lambda n: {"core_x": np.zeros_like(n.core_x), "core_y": np.zeros_like(n.core_y)}),
    ],
)
def test_invariants_see_what_is_wrong(name: str, change: object) -> None:
    rng = np.random.default_rng(8)
    ops = chain(rng, 3)
    skip = Concat(inputs=("y0", "y2"), output="j", type=spikes(4, 1, 1), location=Location.of("Concat_0"), axis=0)
    last = conv(rng, "j", (4, 1, 1), "z", 2, density=1.0)
    good = compile_graph(Graph("chain", (Value("x", spikes(2, 1, 1)),), (*ops, skip, last), ("z",)))
    check = invariants()[name]
    assert not list(check.violations(good, good.chip))
    bad = replace(good, **change(good))  # type: ignore[operator]
    assert list(check.violations(bad, good.chip))


def test_routes_agree_with_walking_every_packet() -> None:
    rng = np.random.default_rng(9)
    mesh = (3, 4, 2, 2)
    places = rng.permutation(48)[:20]
    core_x, core_y = places % 6, places // 6
    target = rng.integers(-3, 20, (20, 5))
    weight = rng.integers(0, 9, target.shape)
    loads: dict[tuple[int, int, int, int], int] = {}
    hops = crossings = total = 0
    for core, neuron in np.argwhere(target >= 0):
        x, y, w = int(core_x[core]), int(core_y[core]), int(weight[core, neuron])
        goal = int(core_x[target[core, neuron]]), int(core_y[target[core, neuron]])
        total += w
        while (x, y) != goal:
            nx, ny = (x + np.sign(goal[0] - x), y) if x != goal[0] else (x, y + np.sign(goal[1] - y))
            loads[x, y, nx, ny] = loads.get((x, y, nx, ny), 0) + w
            crossings += w * (nx // 3 != x // 3 or ny // 4 != y // 4)
            hops += w
            x, y = nx, ny
    found = routes(core_x, core_y, target, mesh, weight)
    assert found.weight == total and found.mean_hops == pytest.approx(hops / total)
    assert found.crossings == crossings and found.max_link_load == max(loads.values())
    for (x, y, nx, ny), load in loads.items():
        table = {(1, 0): found.east, (-1, 0): found.west, (0, 1): found.north, (0, -1): found.south}[nx - x, ny - y]
        assert table[min(y, ny), min(x, nx)] == load
    assert sum(float(t.sum()) for t in (found.east, found.west, found.north, found.south)) == hops
    assert found.hottest(1)[0][0] == max(loads.values())


def test_groups_by_similarity_fit_and_keep_whole_groups() -> None:
    rng = np.random.default_rng(11)
    used = rng.random((40, 30)) < 0.1
    groups = np.repeat([0, 1], 20)
    used[:20, 4:] = False
    labels = split_groups(used, groups, 8)
    assert np.unique(labels[:20]).size == 1  # 4 inputs: stays whole
    for label in range(int(labels.max()) + 1):
        assert used[labels == label].any(axis=0).sum() <= 8
        assert np.unique(groups[labels == label]).size == 1


def random_netlist(chip: Chip) -> Netlist:
    rng = np.random.default_rng(12)
    a = conv(rng, "x", (4, 4, 4), "a", 4, density=1.0)
    b = conv(rng, "a", (4, 4, 4), "b", 4, density=1.0)
    return compile_graph(Graph("net", (Value("x", spikes(4, 4, 4)),), (a, b), ("b",)), chip)


def test_traffic_weighs_connections(tmp_path: Path) -> None:
    chip = replace(TINY, mesh_x=10, mesh_y=10)
    netlist = random_netlist(chip)
    spikes_sent = np.zeros(netlist.target_core.shape, np.int64)
    busy = np.flatnonzero((netlist.target_core >= 0).any(axis=1))[::7]
    spikes_sent[busy] = 1000
    np.save(tmp_path / "spikes.npy", spikes_sent)
    plain = PlaceCores().run(netlist, chip)
    heavy = PlaceCores(traffic=str(tmp_path / "spikes.npy")).run(netlist, chip)
    mesh = (chip.mesh_x, chip.mesh_y, 1, 1)

    def hops(placed: Netlist) -> float:
        return routes(placed.core_x, placed.core_y, placed.target_core, mesh, spikes_sent).mean_hops

    assert hops(heavy) <= hops(plain)
    assert hops(heavy) == 1.0  # the few that count are all neighbours


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3), "the traffic file holds float64[3]; expected numbers [32] or [32, 8]"),
        (np.full(32, -1), "the traffic file holds a count that is negative or not finite"),
        (np.full((32, 8), np.nan), "the traffic file holds a count that is negative or not finite"),
        (np.full((32, 8), 1e308), "the traffic file holds a count of more than 2^63"),
        (b"not an array", "cannot read the traffic file: "),
        (None, "cannot read the traffic file: "),
    ],
)
def test_bad_traffic_files(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "spikes.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    netlist = random_netlist(replace(TINY, mesh_x=10, mesh_y=10))
    assert netlist.target_core.shape == (32, 8)
    with pytest.raises(CompileError) as error:
        PlaceCores(traffic=str(path)).run(netlist, netlist.chip)
    assert error.value.message.startswith(message) and error.value.location == str(path)


def test_traffic_counts_by_its_proportions(tmp_path: Path) -> None:
    """However small the counts are."""
    netlist = random_netlist(replace(TINY, mesh_x=10, mesh_y=10))
    sent = np.random.default_rng(0).integers(0, 4, netlist.target_core.shape)
    edges = [core_edges(netlist.target_core, sent * scale) for scale in (1e12, 1e-310)]
    np.testing.assert_allclose(edges[0].weight, edges[1].weight, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "chip", "message"),
    [
        ({"seed": -1}, {}, "seed is -1; it must be at least 0"),
        ({"threads": 0}, {}, "threads is 0; it must be at least 1"),
        ({"crossing_hops": 1001}, {}, "crossing-hops is 1001; it lies in 0..1000"),
        ({}, {"chips_x": 250}, "an edge of 16,000 cores on 250 chips is 17,991 hops long where chip edges count"),
        ({"crossing_hops": 1000}, {"chips_y": 32}, "an edge of 2,048 cores on 32 chips is 33,047 hops long"),
    ],
)
def test_options_out_of_range(options: dict[str, int], chip: dict[str, int], message: str) -> None:
    with pytest.raises(CompileError) as error:
        PlaceCores(**options).run(random_netlist(TINY), Chip(axons=8, neurons=8, **chip))  # type: ignore[arg-type]
    assert error.value.message.startswith(message)


@pytest.mark.parametrize("effort", ["low", "default", "high"])
def test_threads_and_seeds(effort: str) -> None:
    netlist = random_netlist(replace(TINY, mesh_x=10, mesh_y=10))
    places = {}
    for seed, threads in ((0, 1), (0, 2), (0, 5), (1, 1)):
        placed = PlaceCores(effort=effort, seed=seed, threads=threads).run(netlist, netlist.chip)
        places[seed, threads] = (placed.core_x.tobytes(), placed.core_y.tobytes())
    assert places[0, 1] == places[0, 2] == places[0, 5]
    assert places[0, 1] != places[1, 1]


def test_dumps_do_not_depend_on_threads_and_go_on_with_others(tmp_path: Path) -> None:
    graph = Graph(
        "net", (Value("x", spikes(2, 2, 2)),), (conv(np.random.default_rng(0), "x", (2, 2, 2), "y", 2),), ("y",)
    )
    text = "split-filter-groups, partition-cores, place-cores{effort=low seed=3 threads=%d}, route-spikes"
    results = [run_pipeline(graph, TINY, text % n, dump_dir=tmp_path / str(n)) for n in (1, 2)]
    assert results[0].pipeline == results[1].pipeline
    for dump in sorted((tmp_path / "1").iterdir()):
        assert dump.read_bytes() == (tmp_path / "2" / dump.name).read_bytes()
    again = run_pipeline(None, TINY, text % 2, start_from=tmp_path / "1" / "03-place-cores.tn")
    assert again.module == results[0].module and list(again.seconds) == ["route-spikes"]


def test_chip_edges_are_crossed_less_where_they_cost() -> None:
    chip = Chip(mesh_x=4, mesh_y=8, axons=8, neurons=8, chips_x=2, chips_y=1)
    netlist = random_netlist(chip)
    crossings = []
    for extra in (0, 50):
        placed = PlaceCores(crossing_hops=extra).run(netlist, chip)
        crossings.append(routes(placed.core_x, placed.core_y, placed.target_core, (4, 8, 2, 1)).crossings)
    assert crossings[1] <= crossings[0]


def test_bound_on_hops_holds_and_is_met_by_a_star() -> None:
    centre = np.full((13, 12), -1)
    centre[0] = np.arange(1, 13)  # 12 neighbours: 4 one hop away, 8 two
    edges = core_edges(centre)
    # seen from the centre 4 + 16 hops, seen from the leaves 1 each
    assert least_mean_hops(edges, 12) == pytest.approx((20 + 12) / 2 / 12)
    netlist = random_netlist(replace(TINY, mesh_x=10, mesh_y=10))
    placed = PlaceCores().run(netlist, netlist.chip)
    found = routes(placed.core_x, placed.core_y, placed.target_core, (10, 10, 1, 1))
    assert least_mean_hops(core_edges(netlist.target_core), found.connections) <= found.mean_hops
