"""`model.summary()` to pick from, and what the top is."""

from featlib.recipes import summary_code
from featlib.ui.compute import network
from featlib.ui.frame import code_context, page
from featlib.ui.pages.layers import find_selected, layer_table, model_facts, show_top
from featlib.ui.widgets import show_code

with page(
    "Layers", "What is inside the network?", "Every layer and what comes out of it. Click one to choose it."
) as session:
    backbone = network(session)
    layer = find_selected(session, backbone)
    model_facts(backbone)
    layer_table(session, backbone, layer)
    show_top(session, backbone)
    show_code(summary_code(code_context(session, backbone)))
