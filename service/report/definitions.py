"""Every word of a report that a statistician wants defined. Knows no card."""

DEFINITIONS = {
    "AUC": (
        "The area under the ROC curve: how often an image of the class gets a higher "
        "probability than one that is not of the class; ties count half. 0.5 is chance, 1 is "
        "perfect. Of several classes or labels it is the mean over each against the rest, of "
        "grades the mean over every cut between two. Only "
        "images that were scored by the same fitted model are compared, so that the curves "
        "below, which pool the folds, may have a slightly different area."
    ),
    "Balanced accuracy": (
        "The share of images whose likeliest class is the true one, taken for each class and "
        "then averaged, so that a frequent class does not hide a rare one."
    ),
    "Quadratic kappa, mean absolute error, R², Spearman's correlation": (
        "Kappa: agreement of grades beyond chance, where a grade that is two off counts four times "
        "as one that is one off (Cohen 1968). Mean absolute error: how far answers are off, in "
        "grades or in the unit of the numbers. R²: the share of the variance explained; a head "
        "that knows less than the mean has one below 0. Spearman: whether larger numbers get "
        "larger answers, among images held out together, corrected for how few they are (Hoeffding "
        "1948). Intervals of the first three are of the jackknife that leaves out one group at a "
        "time, of the last Fisher's z (Bonett and Wright 2000) or, where it is wider, what the "
        "images themselves show, all with the factor for shared images below."
    ),
    "Intervals of metrics": (
        "All values that a score test at 95 % would not reject. Variance of the AUC: Hanley and "
        "McNeil in Newcombe's form (2006, method 5), which holds at AUC 1 too; times the design "
        "effect of groups (Obuchowski 1997); times 1/repeats + folds/(folds - 1) in cross- "
        "validation, because fitted models share images (Nadeau and Bengio 2003). With groups it "
        "is 1 + folds/(folds - 1): what they show is of means over the repeats already. Student's "
        "quantile, of the independent groups less the classes."
    ),
    "p": (
        "Of a permutation test. Labels are dealt out again at random, those of a group as a whole; "
        "each time a quick stand-in of the head (ridge regression on the same vectors) learns "
        "from them and is judged on groups that it did not learn from, by its AUC, or of numbers "
        "by Spearman's correlation. p is (b + 1) / (m + 1), where b of m deals went as well as the "
        "true labels (Ojala and Garriga 2010; Phipson and Smyth 2010). Signal means p below 0.05, "
        "and a figure of the head itself above chance."
    ),
    "Cross-validation, out of fold": (
        "The images are dealt into folds, images of one group into the same fold. Each fold is "
        "scored by a model that learnt from the others, so that no image is judged by a model "
        "that has seen it. The head itself then learns from all of them."
    ),
    "Logistic regression, ridge regression": (
        "The plainest model, on the same folds. A head that is no better than it gains nothing "
        "by being more."
    ),
    "Learning curve": (
        "Images are left out of what each fold learns from, whole groups and each class alike, "
        "and the linear members of the head are fitted again; what that costs is taken from the "
        "AUC, or of numbers the rank correlation. Through the points goes a power law, today + "
        "gap x (1 - (images / today's) ^ -exponent), points weighted by 1/variance (Figueroa et "
        "al. 2012), averaged over all gaps and exponents by their probability. The band joins "
        "the law's and that of today's figure "
        "(Zou and Donner 2008). It holds for more images of the same kind, of new groups."
    ),
    "ROC curve": (
        "For every threshold: the share of images of the class that is found (sensitivity) "
        "against the share of the others that is called so by mistake (1 - specificity). "
        "Shaded: joint confidence rectangles, both rates by Wilson's method at the square root "
        "of 95 % each (Pepe 2003). It holds for each threshold by itself, not for the curve as "
        "a whole, and counts groups where there are any."
    ),
    "Reliability and calibration error": (
        "Images are sorted by the probability claimed and cut into bins of equal size; a bin's "
        "share of right claims is set against the mean claim, with Wilson's 95 % interval, "
        "which takes images as independent. The calibration error is the mean distance of the "
        "two, weighted by images; 0 is perfect. Of two classes the claim is that of the second; "
        "of more it is the largest one; of several labels every probability is a claim."
    ),
    "Doubt": (
        "A share of every probability is an even guess: one in n + 2, where n counts the images, "
        "or the groups, that it learnt from. So many right answers in a row do not show that the "
        "next is right with more certainty (Laplace's rule of succession)."
    ),
    "Prediction set": (
        "The labels that cannot be ruled out: all whose probability reaches a threshold that "
        "was set so that the set holds the true label as often as was asked for (cross- "
        "conformal, Vovk 2015; thresholds of Sadinle, Lei and Wasserman 2019). The band is "
        "where that share really lies, at 95 %, given how few images set the threshold. It "
        "holds for images like those learnt from. Several labels: a threshold for each, set on the "
        "images that have it. Numbers: as far to both sides as out-of-fold answers were off."
    ),
    "Usualness": (
        "Comes with every answer: the share of the images learnt from, held out, that were at "
        "least as strange as the new one. Where it is small (0.05 or less) the image is unlike "
        "anything learnt, and no figure of this report speaks of it."
    ),
    "Group": (
        "Images that are not independent, of one patient or one slide say, and must not be split."
    ),
}
"""Every word that a statistician wants defined."""
