"""Scratch."""
from __future__ import annotations
import pytest
NS=10**9
INJ = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, amount: 0.4 mmol, over: 30 s}
"""
class Chooses:
    def __init__(self, *choices):
        self.choices = list(choices)
    def __call__(self, simulated):
        self.simulated = simulated
        return self
    async def do(self, task):
        from labctl.capabilities import TaskKind, Reply
        if task.kind is TaskKind.ANSWER and self.choices:
            return Reply(text=self.choices.pop(0))
        return await self.simulated.do(task)
def show(run):
    print(run.outcome, run.reason, run.meta.end_ns/1e9)
    for e in run.events: print(round(e.t_ns/1e9,2), e.level, e.code, e.message)
    for d in run.doses: print(d)
    for a in run.alarms: print(a)
    for a in run.questions: print(a)
    for a in run.intents: print(a)
    print({k:v for k,v in run.truth.items() if 'pump_2' in k or 'mmol' in k or 'heater' in k})
def test_stall(conducted):
    show(conducted(INJ, during={40: lambda w,i,o: w.device("pump_2").stall()}))
def test_stallretry(conducted):
    print("RETRY")
    show(conducted(INJ, operator=Chooses("retry"),during={40: lambda w,i,o: w.device("pump_2").stall()}))
def test_hood(conducted):
    print("HOOD")
    show(conducted(INJ, during={35: lambda w,i,o: w.put("hood_flow",0.0,35*NS)}))
def test_hoodres(conducted):
    print("HOODRES")
    show(conducted(INJ, operator=Chooses("resume"), during={35: lambda w,i,o: w.put("hood_flow",0.0,35*NS),45: lambda w,i,o: w.put("hood_flow",1.0,45*NS)}))
