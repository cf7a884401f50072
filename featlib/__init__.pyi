# The public names of featlib and where they live: read by lazy_loader at run time, and by type checkers and editors.
# Public besides: featlib.plots, which draws results as Plotly figures and PNG; and featlib.analysis, on arrays alone.

from .analysis import (
    Neighbors as Neighbors,
    ProbeResult as ProbeResult,
    Projection as Projection,
    channel_statistics as channel_statistics,
    find_neighbors as find_neighbors,
    linear_probe as linear_probe,
    project as project,
)
from .errors import FeatlibError as FeatlibError, FeatlibWarning as FeatlibWarning
from .features import (
    FeatureExtractor as FeatureExtractor,
    VectorStore as VectorStore,
    VectorTable as VectorTable,
    extract_to_file as extract_to_file,
    extract_vectors as extract_vectors,
    extract_with_ray as extract_with_ray,
    feature_maps as feature_maps,
    load_vectors as load_vectors,
    make_runtime as make_runtime,
    open_vectors as open_vectors,
    save_vectors as save_vectors,
    tap_layers as tap_layers,
    trace_image as trace_image,
)
from .images import ImageSet as ImageSet, load_images as load_images, load_samples as load_samples
from .models import (
    Backbone as Backbone,
    LayerInfo as LayerInfo,
    find_layer as find_layer,
    list_layers as list_layers,
    list_models as list_models,
    load_backbone as load_backbone,
)
from .transfer import LayerProbe as LayerProbe, probe_layers as probe_layers
from .version import __version__ as __version__
