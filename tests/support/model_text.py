"""A small IBM model file as text: two cores of 4 x 4, every feature of the format once."""

from __future__ import annotations


def neuron_type(name="N00000001", **changes):
    fields = (
        {f"sigma{g}": "1" for g in range(4)} | {f"s{g}": "1" for g in range(4)} | {f"b{g}": "false" for g in range(4)}
    )
    fields |= {"sigma_lambda": "-1", "lambda": "0", "c_lambda": "false", "epsilon": "false", "alpha": "1", "beta": "0"}
    fields |= {"TM": "0", "gamma": "0", "kappa": "true", "sigma_VR": "1", "VR": "0", "V": "0"}
    fields |= changes
    body = ",".join(f'"{key}":{value}' for key, value in fields.items())
    return f'{{"name":"{name}","class":"NeuronGeneral",{body}}}'


ROWS = """[
    /* one row an axon */
    {"type":"S0","synapses":"80"}, {"type":"S1","synapses":"40"},
    {"type":"S2","synapses":"20"}, {"type":"S3","synapses":"F0"}]"""

MODEL = (
    """{
    /* a comment, with "quotes" and { brackets } */
    "model":{"coreCount":2,"neuronclass":"NeuronGeneral","crossbarSize":4,"crossbarclass":"CrossbarBinary",
             "buildKey64":"a /* not a comment */ key","networking":"INTRA","useCrossbarPrototypes":true},
    "crossbarTypes":[{"name":"coreProt0000001","crossbar":{"rows":"""
    + ROWS
    + """}}],
    "neuronTypes":["""
    + neuron_type(
        "N0000001E",
        sigma1="-1",
        s1="200",
        s2="7",
        b3="true",
        sigma_lambda="1",
        **{"lambda": "9"},
        alpha="62",
        beta="3",
        TM="8",
        gamma="2",
        kappa="false",
        epsilon="true",
        c_lambda="true",
        sigma_VR="-1",
        VR="5",
        V="-17",
    )
    + ","
    + neuron_type("N00000002")
    + """],
    "core":{"metadata":{"coreletClass":"first","coreletId":7,"coreNumber":0,"parentCoreletId":[1,0]},
        "id":0,"timeScaleExponent":0,"rngSeed":4294967295,
        "neurons":{"dendrites":["0:3"],"types":["30x2",2,"0"],"destCores":[1,-33,"-2","-1"],
                   "destAxons":["3:-1:2",-1,0],"destDelays":[15,1,"1x2"]},
        "crossbar":{"name":"coreProt0000001"}},
    "core":{"metadata":{"coreletClass":"second","layerNumber":3,"layerType":"conv"},"id":1,"timeScaleExponent":0,
        "rngSeed":1,
        "neurons":[{"type":2,"dendrite":2,"destCore":0,"destAxon":1,"delay":2},
                   {"type":30,"dendrite":0,"destCore":-1,"destAxon":-1,"delay":1}],
        "crossbar":{"rows":"""
    + ROWS.replace('"F0"', '"0f"').replace('"S3"', '"S0"')
    + """}}
}
"""
)
