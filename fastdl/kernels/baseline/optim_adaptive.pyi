from .optim import Update

LEVEL: str

def __getattr__(name: str) -> Update: ...  # the rules, all of one type
