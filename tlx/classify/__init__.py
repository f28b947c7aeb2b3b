"""Classification of whole pictures on the same backbones, freezes and policies as detection."""
