"""The networks of the papers as descriptions. Read in this order:

1. `vgg`, `resnet_layout`, `multi_grid`, `resnet`, `xception`, `mobilenet`   the backbones, strides traded for rates
2. `deeplab_v1`, `deeplab_v2`, `deeplab_v3`, `deeplab_v3plus`, `deeplab_mobile`   what each paper adds to them
3. `convolutionalize`, `classifiers`, `from_classifier`         from an ImageNet classifier to a dense network
4. `network`, `catalogue`                                       what users build, load and run
5. `summary`, `drawing`                                         the papers' layer table, and a picture
6. `preparation`, `segmentation`                                from any image to labels
7. `guess`                                                      which network a file of weights belongs to
"""  # noqa: D400
